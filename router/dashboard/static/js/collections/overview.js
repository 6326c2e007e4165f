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
  const state = h("div.stack");
  const work = h("div");
  const placement = h("div");
  const memory = h("div.card");
  fill(root, state, h("div.columns", {}, h("div.stack", {}, memory), h("div.stack", {}, work, placement, aliasCard(name, signal))));
  const at = path("collections", name);
  const refresh = (quiet = true) => load(state, signal, async () => {
    const [info, tasks] = await Promise.all([
      api.get(at, { signal }),
      api.get(`${at}/optimizations`, { signal, query: { with: "queued,completed", completed_limit: 3 } }),
    ]);
    fill(work, card("Optimizers", h("div.card-body", {}, optimizations(tasks))));
    fill(placement, card("Vectors and copies", h("div.card-body", {}, pairs(placed(info.config.params)))));
    return info;
  }, drawState, { quiet, lines: 3 });
  await Promise.all([
    refresh(false),
    load(memory, signal, () => api.get(`${at}/memory`, { signal }), drawMemory),
  ]);
  repeat(REFRESH_MS, signal, refresh);
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
