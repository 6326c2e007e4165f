/** All collections: what each holds and how it fares. */

import { api, inTurns, path } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { count } from "../core/format.js";
import { link } from "../core/route.js";
import { shortcut } from "../core/shortcuts.js";
import { createCollection } from "../collections/create.js";
import { vectorSummary } from "../collections/config.js";
import { button, iconButton } from "../ui/buttons.js";
import { input } from "../ui/fields.js";
import { icon } from "../ui/icons.js";
import { badge, numberCell, row, table } from "../ui/parts.js";
import { empty, load } from "../ui/states.js";

const PER_PAGE = 50;
const AT_ONCE = 6; // infos asked for at the same time

/** @param {import("../main.js").View} view @param {import("../core/route.js").Route} route */
export async function show({ root, signal, title }, route) {
  title("Collections");
  const list = h("div", { "aria-live": "off" });
  const search = input({ type: "search", placeholder: "Find by name or alias", "aria-label": "Find by name or alias",
    value: route.query.get("find") ?? "" });
  const summary = h("p.hint.count", { role: "status" });
  /** @type {Listed} */
  let listed = { names: [], aliases: new Map() };
  let page = 0;
  const draw = () => shownPage({ listed, find: search.value, page, signal, summary, turn, create });
  const turn = (/** @type {number} */ to) => {
    page = to;
    fill(list, draw());
  };
  const create = () => createCollection((name) => {
    location.hash = link(["collections", name]);
  });
  const refresh = (quiet = false) => load(list, signal, async () => {
    listed = await listCollections(signal);
  }, draw, { lines: 8, quiet });
  search.addEventListener("input", () => {
    history.replaceState(null, "", link(["collections"], { find: search.value }));
    turn(0);
  });
  fill(root,
    h("div.page-head", {}, h("h1", { tabindex: "-1" }, "Collections"), summary,
      h("div.page-actions", {}, button("Create collection", create, { kind: "primary", icon: "plus" }))),
    h("section.card", {},
      h("div.card-head", {}, h("div.search", {}, icon("search"), search),
        iconButton("refresh", "Refresh", () => refresh(true))),
      list));
  shortcut("/", "Find a collection", () => search.focus(), signal);
  shortcut("n", "Create a collection", create, signal);
  shortcut("r", "Refresh", () => refresh(true), signal);
  await refresh();
}

/**
 * @typedef {object} Listed
 * @property {string[]} names in order
 * @property {Map<string, string[]>} aliases by collection
 */

/** @param {AbortSignal} signal @returns {Promise<Listed>} */
async function listCollections(signal) {
  const [{ collections }, { aliases }] = await Promise.all([
    api.get("/collections", { signal }), api.get("/aliases", { signal }),
  ]);
  const named = new Map();
  for (const { alias_name: alias, collection_name: name } of aliases) {
    named.set(name, [...(named.get(name) ?? []), alias]);
  }
  const names = collections.map((/** @type {{name: string}} */ each) => each.name);
  return { names: names.sort((/** @type {string} */ a, /** @type {string} */ b) => a.localeCompare(b)), aliases: named };
}

/** @param {{listed: Listed, find: string, page: number, signal: AbortSignal, summary: HTMLElement, turn: (page: number) => void, create: () => void}} state */
function shownPage({ listed, find, page, signal, summary, turn, create }) {
  const wanted = find.trim().toLowerCase();
  const matching = listed.names.filter((name) =>
    [name, ...(listed.aliases.get(name) ?? [])].some((each) => each.toLowerCase().includes(wanted)));
  summary.textContent = wanted ? `${count(matching.length)} of ${count(listed.names.length)}` : count(listed.names.length);
  if (!listed.names.length) {
    return empty("No collections yet", "A collection holds points: vectors with an id and a payload.", {
      icon: "collections", action: button("Create collection", create, { kind: "primary", icon: "plus" }),
    });
  }
  if (!matching.length) return empty("Nothing found", `No collection or alias has “${find}” in its name.`, { icon: "search" });
  const shown = matching.slice(page * PER_PAGE, (page + 1) * PER_PAGE);
  const rows = new Map(shown.map((name) => [name, collectionRow(name, listed.aliases.get(name) ?? [])]));
  // Once they are on the page: rows that were replaced meanwhile are not asked about.
  queueMicrotask(() => inTurns(rows, AT_ONCE, async ([name, cells]) => {
    if (!signal.aborted && cells.element.isConnected) await fillRow(name, cells, signal);
  }));
  return [
    table("Collections", ["Name", "Status", "#Points", "#Indexed vectors", "#Segments", "Vectors"], [...rows.values()].map((each) => each.element), "steady"),
    matching.length > PER_PAGE && pager(page, matching.length, turn),
  ];
}

/** @param {string} name @param {string[]} aliases */
function collectionRow(name, aliases) {
  const waiting = () => h("span.skeleton", { style: { width: "56px" } });
  const cells = { status: h("td", {}, waiting()), vectors: h("td", {}, waiting()),
    points: numberCell(waiting()), indexed: numberCell(waiting()), segments: numberCell(waiting()) };
  const names = [h("a", { href: link(["collections", name]) }, name),
    aliases.length > 0 && h("div.chips", {}, aliases.map((alias) => h("span.chip", { title: "alias" }, alias)))];
  return { ...cells, element: row(names, cells.status, cells.points, cells.indexed, cells.segments, cells.vectors) };
}

/** @param {string} name @param {ReturnType<typeof collectionRow>} cells @param {AbortSignal} signal */
async function fillRow(name, cells, signal) {
  try {
    const info = await api.get(path("collections", name), { signal });
    fill(cells.status, badge(info.status));
    fill(cells.points, count(info.points_count));
    fill(cells.indexed, count(info.indexed_vectors_count));
    fill(cells.segments, count(info.segments_count));
    fill(cells.vectors, h("div.chips", {}, vectorSummary(info.config.params).map((text) => h("span.chip", {}, text))));
  } catch (error) {
    if (signal.aborted) return;
    fill(cells.status, badge("unknown", "bad"));
    for (const cell of [cells.points, cells.indexed, cells.segments]) fill(cell, "–");
    fill(cells.vectors, h("span.hint", {}, error instanceof Error ? error.message : String(error)));
  }
}

/** @param {number} page @param {number} total @param {(page: number) => void} turn */
function pager(page, total, turn) {
  const last = Math.ceil(total / PER_PAGE) - 1;
  return h("div.pager", {},
    h("span.space", {}, `${count(page * PER_PAGE + 1)}–${count(Math.min(total, (page + 1) * PER_PAGE))} of ${count(total)}`),
    button("Previous", () => turn(page - 1), { kind: "small", disabled: page === 0 }),
    button("Next", () => turn(page + 1), { kind: "small", disabled: page === last }));
}
