/** Where a collection's replicas are, and how they fare. Pure. */

/**
 * @typedef {object} Replica
 * @property {number} shard @property {string} peer @property {string} state
 * @property {any} [key] the shard key @property {number} [points] known of replicas on the node that was asked
 */

/** @param {any} info of /collections/…/cluster @returns {Replica[]} by shard and peer */
export function replicasOf(info) {
  const local = info.local_shards.map((/** @type {any} */ each) => ({ shard: each.shard_id, peer: String(info.peer_id), state: each.state,
    key: each.shard_key, points: each.points_count }));
  const remote = info.remote_shards.map((/** @type {any} */ each) => ({ shard: each.shard_id, peer: String(each.peer_id), state: each.state,
    key: each.shard_key }));
  return [...local, ...remote].sort((a, b) => a.shard - b.shard || (a.peer < b.peer ? -1 : 1));
}

/** The worst of states, as a word for all replicas. @param {Replica[]} replicas */
export function health(replicas) {
  const bad = replicas.filter(({ state }) => state === "Dead").length;
  const busy = replicas.filter(({ state }) => !["Active", "ActiveRead", "Dead", "Listener"].includes(state)).length;
  if (bad) return { kind: "bad", text: `${bad} of ${replicas.length} replicas dead` };
  if (busy) return { kind: "warn", text: `${busy} of ${replicas.length} replicas not ready` };
  return { kind: "good", text: replicas.length === 1 ? "its replica is active" : `all ${replicas.length} replicas active` };
}
