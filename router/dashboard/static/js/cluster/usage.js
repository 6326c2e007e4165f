/** What nodes use of their memory and disk, beside their quotas. Pure. */

/**
 * @typedef {object} Config
 * @property {boolean} enabled
 * @property {number | null} max_resident_memory_percent @property {number | null} max_disk_usage_percent
 * @property {number} release_margin_percent
 */

/** @typedef {{peer: string | null, memory: number | null, disk: number | null, exceeded: boolean}} Used `peer` null: the node that was asked, alone */

/** @param {any} status of /quotas @returns {Used[]} */
export function usageByPeer({ config, usage, peers }) {
  if (!peers) return [{ peer: null, ...used(usage), exceeded: isBeyond(config, usage) }];
  return Object.entries(peers).map(([peer, each]) => ({ peer, ...used(each), exceeded: each.exceeded }));
}

/** @param {any} usage */
function used({ resident_memory_percent: memory, disk_usage_percent: disk }) {
  return { memory, disk };
}

/** A node alone does not tell whether it refuses. @param {Config} config @param {any} usage */
function isBeyond(config, { resident_memory_percent: memory, disk_usage_percent: disk }) {
  const reached = (/** @type {number | null} */ value, /** @type {number | null} */ limit) => value !== null && limit !== null && value >= limit;
  return config.enabled && (reached(memory, config.max_resident_memory_percent) || reached(disk, config.max_disk_usage_percent));
}

/** @param {string} text nothing: no limit @param {number} least @returns {string | null} */
export function percentProblem(text, least) {
  if (text === "") return null;
  const isOne = /^\d{1,3}$/.test(text) && Number(text) >= least && Number(text) <= 100;
  return isOne ? null : `A whole number from ${least} to 100.`;
}
