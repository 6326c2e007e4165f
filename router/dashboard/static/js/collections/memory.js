/** What a collection's data takes, by part, as bars of one scale. */

import { h } from "../core/dom.js";
import { size } from "../core/format.js";
import { numberCell, row, table } from "../ui/parts.js";

/** @typedef {{disk_bytes: number, ram_bytes: number, cached_bytes: number, expected_cache_bytes: number}} Usage */

/** @param {any} memory @returns {[string, Usage][]} */
export function parts(memory) {
  const named = (/** @type {string} */ name) => (name ? ` ${name}` : "");
  return [
    ...[...memory.vectors, ...memory.sparse_vectors].flatMap((each) => [
      [`Vectors${named(each.name)}`, each.storage], [`Index of vectors${named(each.name)}`, each.index],
      ...(each.quantized ? [[`Quantized vectors${named(each.name)}`, each.quantized]] : []),
    ]),
    ["Payloads", memory.payload],
    ...memory.payload_index.map((/** @type {any} */ each) => [`Payload index ${each.name}`, each.usage]),
    ["Ids", memory.other.id_tracker],
  ];
}

/** @param {any} memory */
export function drawMemory(memory) {
  const shown = parts(memory);
  const largest = Math.max(1, ...shown.map(([, usage]) => usage.disk_bytes));
  const rows = shown.map(([name, usage]) => row(
    [name, h("div.meter", { "aria-hidden": "true" }, h("span", { style: { width: `${(usage.disk_bytes / largest) * 100}%` } }))],
    numberCell(size(usage.disk_bytes)), numberCell(size(usage.ram_bytes)), numberCell(size(usage.cached_bytes))));
  const { total } = memory;
  const sum = row("Total", numberCell(size(total.disk_bytes)), numberCell(size(total.ram_bytes)), numberCell(size(total.cached_bytes)));
  return [h("div.card-head", {}, h("h2", {}, "Memory")), table("Memory", ["Part", "#On disk", "#In RAM", "#In page cache"], [...rows, sum])];
}
