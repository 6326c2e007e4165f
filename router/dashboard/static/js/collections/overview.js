/** How a collection fares: status, optimizers, what it takes of memory, its aliases. */

import { api, path } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { count, plural } from "../core/format.js";
import { repeat } from "../core/repeat.js";
import { badge, card, pairs, stats } from "../ui/parts.js";
import { load } from "../ui/states.js";
import { aliasCard } from "./aliases.js";
import { vectorSummary } from "./config.js";
import { drawMemory } from "./memory.js";

const REFRESH_MS = 3000;

/** @param {import("../pages/collection.js").Tab} tab */
export async function show({ root, signal, name }) {
  const at = path("collections", name);
  const [state, work] = [h("div.stack"), h("div")];
  const drawn = (/** @type {{info: any, tasks: any}} */ { info, tasks }) => {
    fill(work, card("Optimizers", h("div.card-body", {}, optimizations(tasks))));
    return drawState(info);
  };
  const ask = async () => {
    const [info, tasks] = await Promise.all([
      api.get(at, { signal }),
      api.get(`${at}/optimizations`, { signal, query: { with: "queued,completed", completed_limit: 3 } }),
    ]);
    return { info, tasks };
  };
  // All at once at first, so that nothing moves; then what changes.
  const askAll = () => Promise.all([ask(), api.get(`${at}/memory`, { signal })]);
  await load(root, signal, askAll, ([found, memory]) => {
    fill(state, drawn(found));
    const placement = card("Vectors and copies", h("div.card-body", {}, pairs(placed(found.info.config.params))));
    return [state, h("div.columns", {}, h("div.card", {}, drawMemory(memory)),
      h("div.stack", {}, work, placement, aliasCard(name, signal)))];
  }, { lines: 9 });
  repeat(REFRESH_MS, signal, () => (state.isConnected ? load(state, signal, ask, drawn, { quiet: true }) : Promise.resolve()));
}

/** @param {any} info */
function drawState(info) {
  const isFine = info.optimizer_status === "ok";
  return [
    stats([
      ["Status", badge(info.status)],
      ["Points", count(info.points_count)],
      ["Indexed vectors", count(info.indexed_vectors_count)],
      ["Segments", count(info.segments_count)],
      ["Waiting updates", count(info.update_queue?.length ?? 0)],
    ]),
    !isFine && h("p.notice.bad", { role: "alert" }, "The optimizers report: ", info.optimizer_status.error),
    (info.warnings ?? []).map((/** @type {{message: string}} */ each) => h("p.notice.warn", {}, each.message)),
  ];
}

/** @param {any} params @returns {[string, import("../core/dom.js").Child][]} */
function placed(params) {
  return [
    ["Vectors", vectorSummary(params).join(", ") || "none"],
    ["Shards", `${count(params.shard_number)}${params.sharding_method === "custom" ? " per key" : ""}`],
    ["Copies of each", `${count(params.replication_factor)}, of which ${count(params.write_consistency_factor)} must confirm`],
    ["Payloads", params.on_disk_payload ? "on disk" : "in memory"],
  ];
}

/** @param {any} work */
function optimizations(work) {
  const { summary, running = [], queued = [], completed = [] } = work;
  /** @param {string} kind @param {any[]} tasks */
  const shown = (kind, tasks) => tasks.map((each) => h("li", {}, badge(kind, kind === "running" ? "warn" : ""), " ",
    each.optimizer, " of ", plural(each.segments?.length ?? 0, "segment")));
  const nothing = !running.length && !queued.length;
  return h("div.stack", {},
    h("p", {}, nothing ? "All that can be indexed is indexed." : [
      `${plural(running.length, "task")} running, ${count(summary?.queued_optimizations ?? 0)} waiting`,
      summary?.queued_points ? ` (${plural(summary.queued_points, "point")}).` : "."]),
    h("ul.stack.tight", {}, shown("running", running), shown("waiting", queued.slice(0, 3)), shown("done", completed.slice(0, 3))));
}
