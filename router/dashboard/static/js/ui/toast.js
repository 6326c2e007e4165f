/** Short messages in a corner. A popover, so that they are seen above dialogs, too. */

import { h } from "../core/dom.js";

const SECONDS = 6;

/** @type {any} */
let corner = null;

function place() {
  if (!corner?.isConnected) {
    corner = h("div.toasts", { role: "status", "aria-live": "polite", popover: "manual" });
    document.body.append(corner);
  }
  // Shown anew it is above whatever was opened meanwhile.
  if (corner.matches(":popover-open")) corner.hidePopover();
  corner.showPopover();
  return corner;
}

/** @param {string} text @param {"good" | "bad"} [kind] */
export function toast(text, kind = "good") {
  const close = h("button.button.quiet.small", { type: "button", on: { click: () => message.remove() } }, "Dismiss");
  const message = h(`div.toast.${kind}`, {}, h("p", {}, text), close);
  place().append(message);
  if (kind === "good") setTimeout(() => message.remove(), SECONDS * 1000);
}

/** @param {unknown} error */
export function failed(error) {
  if (error instanceof DOMException && error.name === "AbortError") return;
  toast(error instanceof Error ? error.message : String(error), "bad");
}

/** @param {string} text */
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied");
  } catch {
    toast("The browser does not allow this page to copy; select the text instead.", "bad");
  }
}
