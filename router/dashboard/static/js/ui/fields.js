/** Labelled form fields. */

import { h, uniqueId } from "../core/dom.js";

/** @param {Record<string, any>} [properties] */
export function input(properties = {}) {
  return h("input.input", { type: "text", ...properties });
}

/**
 * @param {(string | [string, string])[]} options values, or values with labels
 * @param {Record<string, any>} [properties]
 */
export function select(options, properties = {}) {
  const { value, ...rest } = properties;
  const element = h("select.input", rest, options.map((option) => {
    const [each, label] = typeof option === "string" ? [option, option] : option;
    return h("option", { value: each }, label);
  }));
  if (value !== undefined) element.value = value;
  return element;
}

/** @param {string} label @param {Record<string, any>} [properties] @returns {{element: HTMLElement, box: HTMLInputElement}} */
export function checkbox(label, properties = {}) {
  const box = h("input", { type: "checkbox", ...properties });
  return { element: h("label.check", {}, box, label), box };
}

/**
 * @param {import("../core/dom.js").Child} label @param {HTMLElement} control
 * @param {import("../core/dom.js").Child} [hint]
 */
export function field(label, control, hint) {
  control.id ||= uniqueId();
  const hintId = `${control.id}-hint`;
  if (hint) control.setAttribute("aria-describedby", hintId);
  return h("div.field", {}, h("label", { for: control.id }, label), control, hint && h("span.hint", { id: hintId }, hint));
}

/** Say beside a field what is wrong with it; null: nothing. @param {any} control @param {string | null} text */
export function fieldError(control, text) {
  const holder = control.closest(".field");
  holder?.querySelector(".field-error")?.remove();
  control.setAttribute("aria-invalid", String(text !== null));
  if (text === null) {
    control.removeAttribute("aria-errormessage");
    return;
  }
  const id = uniqueId();
  control.setAttribute("aria-errormessage", id);
  holder?.append(h("span.field-error", { id, role: "alert" }, text));
}
