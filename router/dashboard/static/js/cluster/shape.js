/** Where a collection's replicas are, and how they fare. Pure. */

import { Exact } from "../core/json.js";

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

/**
 * What ends a transfer, and what comes of that. Points on their way between shards are a resharding's, which ends as a whole.
 * @param {any} transfer of `shard_transfers` @returns {{title: string, text: string, operation: Record<string, any>}}
 */
export function abortOf(transfer) {
  if (transfer.method === "resharding_stream_records") {
    return { title: "Abort the resharding", text: "All points stay in the shards that have them; what was copied is dropped.", operation: { abort_resharding: {} } };
  }
  const ends = { shard_id: transfer.shard_id, from_peer_id: transfer.from, to_peer_id: transfer.to };
  return { title: "Abort the transfer", text: `Shard ${transfer.shard_id} stays where it is; what was copied is dropped.`, operation: { abort_transfer: ends } };
}

/** @typedef {string | number | import("../core/json.js").Exact} ShardKey */

const NUMBER_MAX = 2n ** 64n - 1n;

/**
 * @param {ShardKey[]} keys @param {Replica[]} replicas
 * @returns {{key: ShardKey, shards: number, replicas: number, points: number}[]} by key; `points`: of the
 * replicas on the node that was asked
 */
export function perKey(keys, replicas) {
  return keys.map((key) => {
    const own = replicas.filter((each) => isSame(each.key, key));
    const points = own.reduce((sum, each) => sum + (each.points ?? 0), 0);
    return { key, shards: new Set(own.map(({ shard }) => shard)).size, replicas: own.length, points };
  });
}

/** 7 and "7" are two keys. @param {any} one @param {ShardKey} other */
function isSame(one, other) {
  return one !== undefined && (typeof one === "string") === (typeof other === "string") && String(one) === String(other);
}

/** @param {string} kind text or number @param {string} text @returns {{key: ShardKey, problem: string | null}} */
export function keyOf(kind, text) {
  if (kind === "text") return { key: text, problem: text ? null : "A key is needed." };
  const isOne = /^\d{1,20}$/.test(text) && BigInt(text) <= NUMBER_MAX;
  return { key: new Exact(isOne ? String(BigInt(text)) : "0"), problem: isOne ? null : "A whole number from 0 to 18446744073709551615." };
}
