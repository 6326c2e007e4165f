/** The path of a request, with a list of what may follow (the combobox pattern of ARIA). */

import { fill, h, uniqueId } from "../core/dom.js";
import { input } from "../ui/fields.js";

/**
 * @param {(typed: string) => import("./complete.js").Operation[]} complete
 * @param {(operation: import("./complete.js").Operation) => void} picked
 */
export function pathBox(complete, picked) {
  const listId = uniqueId();
  const list = h("ul.choices", { id: listId, role: "listbox", "aria-label": "Paths", hidden: true });
  const box = input({ role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": listId, "aria-label": "Path",
    autocomplete: "off", spellcheck: "false", placeholder: "/collections", });
  box.classList.add("mono");
  /** @type {import("./complete.js").Operation[]} */
  let shown = [];
  let current = -1;
  const close = () => {
    list.hidden = true;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
    current = -1;
  };
  const pick = (/** @type {number} */ at) => {
    const operation = shown[at];
    box.value = operation.path;
    close();
    picked(operation);
    const open = /\{[^}]*\}/.exec(box.value);
    box.focus();
    if (open) box.setSelectionRange(open.index, open.index + open[0].length);
  };
  const mark = (/** @type {number} */ at) => {
    current = at;
    [...list.children].forEach((each, place) => each.setAttribute("aria-selected", String(place === at)));
    if (at >= 0) {
      box.setAttribute("aria-activedescendant", list.children[at].id);
      list.children[at].scrollIntoView({ block: "nearest" });
    }
  };
  const open = () => {
    shown = complete(box.value);
    fill(list, shown.map((each, at) => h("li", { id: `${listId}-${at}`, role: "option", "aria-selected": "false",
      on: { mousedown: (/** @type {Event} */ event) => { event.preventDefault(); pick(at); } } },
      h("span.method", {}, each.method), h("span.mono", {}, each.path), h("span.hint", {}, each.summary))));
    list.hidden = shown.length === 0;
    box.setAttribute("aria-expanded", String(shown.length > 0));
    current = -1;
  };
  box.addEventListener("input", open);
  box.addEventListener("blur", close);
  box.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape" && !list.hidden) close();
    else if (event.key === "ArrowDown" && list.hidden) open();
    else if (event.key === "ArrowDown") mark((current + 1) % shown.length);
    else if (event.key === "ArrowUp" && !list.hidden) mark((current + shown.length - 1) % shown.length);
    else if ((event.key === "Enter" || event.key === "Tab") && current >= 0 && !event.ctrlKey) pick(current);
    else return;
    event.preventDefault();
  });
  return { element: h("div.path-box", {}, box, list), box };
}
