/** Modal dialogs over the browser's own, which keep the focus inside and give it back. */

import { h, uniqueId } from "../core/dom.js";
import { button, iconButton } from "./buttons.js";
import { field, input } from "./fields.js";

/**
 * @typedef {object} Dialog
 * @property {any} element
 * @property {() => void} close
 * @property {Promise<void>} closed
 */

/**
 * Open a dialog. `foot` gets the function that closes it.
 * @param {string} title @param {Node} body
 * @param {{wide?: boolean, foot?: (close: () => void) => Node[], submit?: () => void}} [options] `submit`: on Enter
 * @returns {Dialog}
 */
export function openDialog(title, body, { wide = false, foot, submit } = {}) {
  const id = uniqueId();
  const close = () => element.close();
  const content = [
    h("div.dialog-head", {}, h("h2", { id }, title), iconButton("close", "Close", close, "quiet")),
    h("div.dialog-body", {}, body),
    foot && h("div.dialog-foot", {}, foot(close)),
  ];
  /** @param {Event} event */
  const submitted = (event) => {
    event.preventDefault();
    submit?.();
  };
  const element = h(`dialog.dialog${wide ? ".wide" : ""}`, { "aria-labelledby": id },
    submit ? h("form", { novalidate: true, style: { display: "contents" }, on: { submit: submitted } }, content) : content);
  document.body.append(element);
  element.showModal();
  element.querySelector(".dialog-body :is(input, select, textarea, button)")?.focus();
  // Anywhere else the address changed: the dialog belonged to the page before.
  addEventListener("hashchange", close);
  const closed = new Promise((/** @type {(value: void) => void} */ resolve) => {
    element.addEventListener("close", () => {
      removeEventListener("hashchange", close);
      element.remove();
      resolve();
    });
  });
  return { element, close, closed };
}

/**
 * Ask before something is done. `typed`: a name that has to be typed first.
 * @param {{title: string, text: string, action: string, danger?: boolean, typed?: string}} question
 * @returns {Promise<boolean>}
 */
export async function confirmed({ title, text, action, danger = false, typed }) {
  let agreed = false;
  const name = input({ autocomplete: "off", spellcheck: "false" });
  const act = button(action, () => {}, { kind: danger ? "danger primary" : "primary" });
  act.type = "submit";
  const check = () => {
    act.disabled = typed !== undefined && name.value !== typed;
  };
  name.addEventListener("input", check);
  check();
  const body = h("div.form", {}, h("p", {}, text),
    typed !== undefined && field(["Type ", h("code", {}, typed), " to confirm"], name));
  const dialog = openDialog(title, body, {
    foot: (close) => [button("Cancel", close), act],
    submit: () => {
      if (act.disabled) return;
      agreed = true;
      dialog.close();
    },
  });
  if (typed === undefined) act.focus();
  await dialog.closed;
  return agreed;
}
