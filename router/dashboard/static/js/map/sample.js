/** What a map is made of: a sample of points, their vectors, who is near whom. */

import { api, path, resultOf, send } from "../core/api.js";
import { stringify } from "../core/json.js";

const NEIGHBOURS = 15;

/** The one address that a worker is made from. */
const WORKER = new URL("./worker.js", import.meta.url).href;
const trusted = /** @type {any} */ (window).trustedTypes?.createPolicy("worker", { createScriptURL: () => WORKER });

/**
 * @typedef {object} Wanted
 * @property {string} name of the collection
 * @property {string} using
 * @property {boolean} isSparse
 * @property {"pca" | "neighbours"} method
 * @property {number} sample
 * @property {any} filter
 */

/** @typedef {{ids: string[], places: Float32Array, share: number}} Layout */

/**
 * @param {Wanted} wanted @param {AbortSignal} signal @param {(layout: Layout) => void} shown with each better layout
 * @returns {Promise<void>} when there will be no better one
 */
export async function layOut(wanted, signal, shown) {
  const at = `${path("collections", wanted.name)}/points`;
  if (wanted.method === "pca") {
    const filter = { must: [{ has_vector: wanted.using }, ...(wanted.filter ? [wanted.filter] : [])] };
    const query = { query: { sample: "random" }, limit: wanted.sample, filter, with_vector: vectorsOf(wanted), with_payload: false };
    await work({ body: await bytes(`${at}/query`, query, signal), using: wanted.using, graph: null }, signal, shown);
    return;
  }
  const found = await api.post(`${at}/search/matrix/offsets`,
    { sample: wanted.sample, limit: NEIGHBOURS, using: wanted.using || undefined, filter: wanted.filter }, { signal });
  const graph = { ids: found.ids.map(String), from: found.offsets_row, to: found.offsets_col, scores: found.scores };
  const body = await bytes(at, { ids: found.ids, with_vector: wanted.isSparse ? false : vectorsOf(wanted), with_payload: false }, signal);
  await work({ body, using: wanted.using, graph }, signal, shown);
}

/** @param {Wanted} wanted */
function vectorsOf({ using }) {
  return using ? [using] : true;
}

/** @param {string} target @param {any} body @param {AbortSignal} signal */
async function bytes(target, body, signal) {
  const response = await send("POST", target, stringify(body), { signal, type: "application/json" });
  if (!response.ok) await resultOf(response); // which throws
  return response.arrayBuffer();
}

/** @param {import("./worker.js").Task} task @param {AbortSignal} signal @param {(layout: Layout) => void} shown */
function work(task, signal, shown) {
  return new Promise((/** @type {(value: void) => void} */ resolve, reject) => {
    const worker = new Worker(trusted ? trusted.createScriptURL("") : WORKER, { type: "module" });
    const end = (/** @type {() => void} */ settle) => {
      worker.terminate();
      settle();
    };
    signal.addEventListener("abort", () => end(() => reject(signal.reason)));
    worker.onerror = () => end(() => reject(new Error("The projection could not be computed.")));
    worker.onmessage = ({ data }) => {
      if (data.error) end(() => reject(new Error(data.error)));
      else shown(data);
      if (data.share === 1) end(resolve);
    };
    worker.postMessage(task, [task.body]);
  });
}
