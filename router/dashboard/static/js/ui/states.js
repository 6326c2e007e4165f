/** What a place shows while there is nothing else to show: loading, empty, failed. */

import { fill, h } from "../core/dom.js";
import { button } from "./buttons.js";
import { icon } from "./icons.js";

/** Grey lines where content will be. @param {number} [lines] */
export function loading(lines = 5) {
  return h("div.stack", { role: "status", style: { padding: "16px" } }, h("span.visually-hidden", {}, "Loading"),
    Array.from({ length: lines }, (_, at) => h("span.skeleton", { style: { width: `${90 - ((at * 37) % 50)}%` } })));
}

/** @param {string} title @param {string} text @param {{icon?: string, action?: Node}} [options] */
export function empty(title, text, { icon: name = "empty", action } = {}) {
  return h("div.state", {}, icon(name), h("h2", {}, title), h("p", {}, text), action);
}

/** @param {unknown} error @param {() => void} [retry] */
export function failure(error, retry) {
  const text = error instanceof Error ? error.message : String(error);
  return h("div.state.bad", { role: "alert" }, icon("alert"), h("h2", {}, "That did not work"), h("p", {}, text),
    retry && button("Try again", retry, { icon: "refresh" }));
}

/**
 * Fill `place` with what `get` brings, drawn by `draw`; meanwhile, and if it fails, with that.
 * @template T
 * @param {Element} place @param {AbortSignal} signal
 * @param {() => Promise<T>} get @param {(value: T) => import("../core/dom.js").Child} draw
 * @param {{lines?: number, quiet?: boolean}} [options] `quiet`: what is shown stays until there is something new
 */
export async function load(place, signal, get, draw, { lines = 5, quiet = false } = {}) {
  if (!quiet) fill(place, loading(lines));
  place.setAttribute("aria-busy", "true");
  try {
    const value = await get();
    if (!signal.aborted) fill(place, draw(value));
  } catch (error) {
    if (signal.aborted) return;
    fill(place, failure(error, () => load(place, signal, get, draw, { lines })));
  } finally {
    place.setAttribute("aria-busy", "false");
  }
}
