/** JSON as a tree whose large parts are folded, drawn only when they are opened. */

import { fill, h } from "../core/dom.js";
import { Exact, stringify } from "../core/json.js";
import { count, plural } from "../core/format.js";

const OPEN_MAX = 40; // members of a list or object that is shown open at first
const SHOWN_MAX = 200; // members shown at once
const TEXT_MAX = 400; // characters of a string shown at once
const FLAT_MAX = 72; // characters of a value that is shown in one line

/** @param {any} value @param {number} [depth] levels that are open at first */
export function jsonView(value, depth = 2) {
  return h("div.json", {}, part(value, depth));
}

/** @param {any} value @param {number} depth @returns {Node} */
function part(value, depth) {
  if (value instanceof Exact || typeof value === "number") return h("span.number", {}, String(value));
  if (value === null || typeof value === "boolean") return h("span.word", {}, String(value));
  if (typeof value === "string") return text(value);
  const entries = Array.isArray(value) ? value : Object.entries(value);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  if (!entries.length) return h("span", {}, open + close);
  if (isFlat(value)) return flat(value);
  return folded(value, entries, open, close, depth);
}

/** @param {any} value */
function isFlat(value) {
  const members = Array.isArray(value) ? value : Object.values(value);
  if (members.length > 8 || members.some((each) => each !== null && typeof each === "object" && !(each instanceof Exact))) return false;
  return stringify(value).length <= FLAT_MAX;
}

/** @param {any} value */
function flat(value) {
  const isList = Array.isArray(value);
  const members = isList ? value.map((each) => [part(each, 0)]) : Object.entries(value).map(([key, each]) => [keyed(key), part(each, 0)]);
  return h("span", {}, isList ? "[" : "{ ", members.map((member, at) => [at ? ", " : "", member]), isList ? "]" : " }");
}

/** @param {string} value */
function text(value) {
  if (value.length <= TEXT_MAX) return h("span.string", {}, JSON.stringify(value));
  const shown = h("span.string", {}, JSON.stringify(value.slice(0, TEXT_MAX)));
  const more = h("button.fold", { type: "button", on: { click: () => fill(whole, h("span.string", {}, JSON.stringify(value))) } },
    ` … ${plural(value.length - TEXT_MAX, "more character")}`);
  const whole = h("span", {}, shown, more);
  return whole;
}

/** @param {string} key */
function keyed(key) {
  return h("span", {}, h("span.key", {}, JSON.stringify(key)), ": ");
}

/** @param {any} value @param {any[]} entries @param {string} open @param {string} close @param {number} depth */
function folded(value, entries, open, close, depth) {
  const isList = Array.isArray(value);
  let isOpen = depth > 0 && entries.length <= OPEN_MAX;
  let shown = SHOWN_MAX;
  const place = h("span");
  /** @param {any} entry */
  const member = (entry) => h("li", {}, isList ? part(entry, depth - 1) : [keyed(entry[0]), part(entry[1], depth - 1)]);
  const toggle = () => {
    isOpen = !isOpen;
    draw();
    place.querySelector("button")?.focus();
  };
  const draw = () => {
    const held = plural(entries.length, isList ? "item" : "key");
    const fold = h("button.fold", { type: "button", "aria-expanded": String(isOpen), on: { click: toggle } },
      isOpen ? `▾ ${open}` : `▸ ${open} ${held} ${close}`);
    if (!isOpen) {
      fill(place, fold);
      return;
    }
    const more = () => {
      shown += SHOWN_MAX;
      draw();
    };
    fill(place, fold, h("ul", {}, entries.slice(0, shown).map(member),
      entries.length > shown && h("li", {}, h("button.fold", { type: "button", on: { click: more } },
        `… ${count(entries.length - shown)} more`))), close);
  };
  draw();
  return place;
}
