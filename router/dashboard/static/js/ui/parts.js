/** Small parts that several pages show. */

import { h } from "../core/dom.js";

/** @type {Record<string, string>} kinds of a badge by what it says */
const KINDS = {
  green: "good", Active: "good", ok: "good", working: "good", enabled: "good", Leader: "good",
  yellow: "warn", grey: "", Partial: "warn", Recovery: "warn", Initializing: "warn", Resharding: "warn",
  ActiveRead: "good", ReshardingScaleDown: "warn", Listener: "", PartialSnapshot: "warn", ManualRecovery: "warn",
  red: "bad", Dead: "bad", stopped: "bad", stopped_with_err: "bad",
};

/** @param {string} text @param {string} [kind] good, warn, bad; by default what the text stands for */
export function badge(text, kind = KINDS[text] ?? "") {
  return h(`span.badge${kind ? `.${kind}` : ""}`, {}, text);
}

/** @param {[string, import("../core/dom.js").Child][]} pairs */
export function stats(pairs) {
  return h("dl.stats", {}, pairs.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** @param {[string, import("../core/dom.js").Child][]} pairs */
export function pairs(pairs) {
  return h("dl.pairs", {}, pairs.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** @param {string} title @param {import("../core/dom.js").Child} body @param {...import("../core/dom.js").Child} tools */
export function card(title, body, ...tools) {
  return h("section.card", {}, h("div.card-head", {}, h("h2", {}, title), tools), body);
}

/**
 * A table. Columns whose name begins with # are numbers, with ! actions.
 * @param {string} caption for readers @param {string[]} columns @param {Node[]} rows
 * @param {string} [kind] a class: "steady" where cells are filled later
 */
export function table(caption, columns, rows, kind = "") {
  return h("div.table-wrap", { tabindex: "0", role: "region", "aria-label": caption },
    h(`table.table${kind && `.${kind}`}`, {}, h("caption.visually-hidden", {}, caption),
      h("thead", {}, h("tr", {}, columns.map(head))), h("tbody", {}, rows)));
}

/** @param {string} name */
function head(name) {
  if (name.startsWith("!")) return h("th.actions", { scope: "col" }, h("span.visually-hidden", {}, name.slice(1)));
  if (name.startsWith("#")) return h("th.number", { scope: "col" }, name.slice(1));
  return h("th", { scope: "col" }, name);
}

/** The first cell names the row. @param {...import("../core/dom.js").Child} cells */
export function row(...cells) {
  return h("tr", {}, cells.map((cell, at) => {
    if (cell instanceof HTMLTableCellElement) return cell;
    return at === 0 ? h("th", { scope: "row" }, cell) : h("td", {}, cell);
  }));
}

/** @param {import("../core/dom.js").Child} value */
export function numberCell(value) {
  return h("td.number", {}, value);
}

/** @param {...import("../core/dom.js").Child} children */
export function actionsCell(...children) {
  return h("td.actions", {}, children);
}

/** @param {[string, string, string][]} tabs key, label, address @param {string} current @param {string} label */
export function tabs(tabs, current, label) {
  return h("nav.tabs", { "aria-label": label }, tabs.map(([key, text, href]) =>
    h("a", { href, "aria-current": key === current ? "page" : null }, text)));
}
