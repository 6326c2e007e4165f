/** Points: pages of them, filtered, or those nearest to a point, a vector, a text. */

import { api, path } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { count, duration, plural } from "../core/format.js";
import { parse, stringify } from "../core/json.js";
import { link } from "../core/route.js";
import { shortcut } from "../core/shortcuts.js";
import { filterForm } from "../points/filter-form.js";
import { pointCard } from "../points/point.js";
import { requestOf } from "../points/request.js";
import { button } from "../ui/buttons.js";
import { field, fieldError, input, select } from "../ui/fields.js";
import { empty, load } from "../ui/states.js";
import { vectorNames } from "./config.js";

const LIMITS = ["10", "20", "50", "100"];
const WAYS = /** @type {[string, string][]} */ ([
  ["browse", "Browse"], ["like", "Similar to an id"], ["vector", "Nearest to a vector"], ["text", "Nearest to a text"],
]);
const PLACEHOLDERS = /** @type {Record<string, string>} */ ({ like: "42 or a UUID", vector: "[0.1, 0.2, …]", text: "a text" });

/** @param {import("../pages/collection.js").Tab} tab @param {import("../core/route.js").Route} route */
export async function show({ root, signal, name }, route) {
  const info = await api.get(path("collections", name), { signal });
  const form = searchForm(info, route.query);
  const list = h("div.points");
  const summary = h("p.hint", { role: "status" });
  /** @type {any[]} the offsets of the pages before this one */
  const pages = [];
  const run = (/** @type {any} */ offset = null) => {
    const search = form.read(offset);
    if (!search) return Promise.resolve();
    history.replaceState(null, "", link(["collections", name, "points"], form.address(search)));
    return showFound({ name, search, list, summary, signal, total: info.points_count, turn });
  };
  const turn = (/** @type {number} */ step, /** @type {any} */ next) => {
    if (step > 0) pages.push(next);
    else pages.pop();
    run(pages.at(-1) ?? null).then(() => list.scrollIntoView({ block: "nearest" }));
  };
  const submitted = (/** @type {Event} */ event) => {
    event.preventDefault();
    pages.length = 0;
    run();
  };
  form.element.addEventListener("submit", submitted);
  fill(root, h("section.card", {}, h("div.card-body", {}, form.element)), summary, list);
  shortcut("/", "Search the points", () => form.focus(), signal);
  await run();
}

/** @param {any} info @param {URLSearchParams} query */
function searchForm(info, query) {
  const { dense, sparse } = vectorNames(info.config.params);
  const names = [...dense, ...sparse].map(([name]) => name);
  const by = select(WAYS, { value: query.has("like") ? "like" : query.get("by") ?? "browse" });
  const text = input({ spellcheck: "false", autocomplete: "off", value: query.get("like") ?? query.get("text") ?? "" });
  const model = input({ value: query.get("model") ?? "qdrant/bm25", spellcheck: "false" });
  const using = select(names.map((each) => [each, each || "(unnamed)"]), { value: query.get("using") ?? names[0] ?? "" });
  const limit = select(LIMITS, { value: query.get("limit") ?? "20" });
  const filter = filterForm(Object.keys(info.payload_schema), storedFilter(query));
  const [what, which, whose] = [field("What", text), field("Vector", using), field("Model", model)];
  const switched = () => {
    const way = by.value;
    what.hidden = way === "browse";
    which.hidden = way === "browse" || names.length < 2;
    whose.hidden = way !== "text";
    text.placeholder = PLACEHOLDERS[way] ?? "";
  };
  by.addEventListener("input", switched);
  switched();
  const go = button("Show", () => {}, { kind: "primary", icon: "search" });
  go.type = "submit";
  const element = h("form.form", { role: "search", "aria-label": "Points" },
    h("div.form-row", {}, field("How", by), what, which, whose, field("At most", limit)),
    h("div.toolbar.between", {}, filter.element, go));
  return {
    element,
    focus: () => (by.value === "browse" ? by : text).focus(),
    /** @param {any} offset @returns {any} null: something is wrong, and said */
    read(offset) {
      const wanted = filter.read();
      if (wanted === null) return null;
      const search = { by: by.value, text: text.value, model: model.value, using: using.value, filter: wanted,
        limit: Number(limit.value), offset };
      const request = requestOf(search);
      fieldError(text, "problem" in request ? request.problem : null);
      if ("problem" in request) {
        text.focus();
        return null;
      }
      return { ...search, request };
    },
    /** @param {any} search */
    address: (search) => ({ by: search.by === "browse" ? "" : search.by, text: search.by === "browse" ? "" : search.text,
      using: search.by === "browse" ? "" : search.using, model: search.by === "text" ? search.model : "",
      limit: search.limit === 20 ? "" : search.limit, filter: search.filter ? stringify(search.filter) : "" }),
  };
}

/** @param {URLSearchParams} query */
function storedFilter(query) {
  try {
    return query.has("filter") ? parse(query.get("filter") ?? "") : undefined;
  } catch {
    return undefined;
  }
}

/** @param {{name: string, search: any, list: HTMLElement, summary: HTMLElement, signal: AbortSignal, total: number, turn: (step: number, next: any) => void}} shown */
async function showFound({ name, search, list, summary, signal, total, turn }) {
  summary.textContent = "…";
  const started = performance.now();
  await load(list, signal, () => api.post(`${path("collections", name)}/points/${search.request.target}`, search.request.body, { signal, exact: true }), (found) => {
    const points = found.points;
    const took = duration(performance.now() - started);
    summary.textContent = `${plural(points.length, "point")} of ${count(total)} in ${took}`;
    if (!points.length) return none(search, total);
    const cards = points.map((/** @type {any} */ point) => pointCard(name, point, { using: search.using || undefined }));
    const isPaged = search.by === "browse" && (search.offset !== null || found.next_page_offset !== null);
    return [h("div.points", {}, cards), isPaged && h("div.toolbar.end", {},
      button("Previous", () => turn(-1, null), { disabled: search.offset === null }),
      button("Next", () => turn(1, found.next_page_offset), { disabled: found.next_page_offset === null }))];
  }, { lines: 8 });
  if (list.querySelector('[role="alert"]')) summary.textContent = "";
}

/** @param {any} search @param {number} total */
function none(search, total) {
  if (total === 0 && !search.filter) return empty("No points yet", "Points come from a client library or the console: PUT /collections/…/points.");
  return empty("Nothing found", "No point meets all the conditions.", { icon: "search" });
}
