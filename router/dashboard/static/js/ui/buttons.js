/** Buttons, and what every button that asks the node has to do. */

import { h } from "../core/dom.js";
import { icon } from "./icons.js";
import { copied, failed } from "./toast.js";

/**
 * @param {string} label @param {() => unknown} run
 * @param {{kind?: string, icon?: string, title?: string, disabled?: boolean}} [options] `kind`: classes
 */
export function button(label, run, { kind = "", icon: name, title, disabled = false } = {}) {
  const classes = kind ? `.${kind.split(" ").join(".")}` : "";
  return h(`button.button${classes}`, { type: "button", title, disabled, on: { click: run } },
    name && icon(name), label);
}

/** A button that shows nothing but an icon. @param {string} name @param {string} label @param {() => unknown} run @param {string} [kind] */
export function iconButton(name, label, run, kind = "quiet") {
  const classes = kind.split(" ").join(".");
  return h(`button.button.icon.${classes}`,
    { type: "button", "aria-label": label, title: label, on: { click: run } }, icon(name));
}

/** Run `work` with the button switched off; what goes wrong is told. @param {any} element @param {() => Promise<unknown>} work */
export async function whileBusy(element, work) {
  element.disabled = true;
  element.setAttribute("aria-busy", "true");
  try {
    return await work();
  } catch (error) {
    failed(error);
    return undefined;
  } finally {
    element.disabled = false;
    element.removeAttribute("aria-busy");
  }
}

/** @param {() => string} text @param {string} [label] */
export function copyButton(text, label = "Copy") {
  return iconButton("copy", label, () => copied(text()), "quiet small");
}
