import assert from "node:assert/strict";
import { test } from "node:test";

import { abortOf, health, keyOf, perKey, replicasOf } from "../../../../router/dashboard/static/js/cluster/shape.js";
import { percentProblem, usageByPeer } from "../../../../router/dashboard/static/js/cluster/usage.js";
import { parse, stringify } from "../../../../router/dashboard/static/js/core/json.js";

const INFO = {
  peer_id: 9007199254740991,
  local_shards: [{ shard_id: 1, points_count: 5, state: "Active" }],
  remote_shards: [{ shard_id: 1, peer_id: 3, state: "Dead" }, { shard_id: 0, peer_id: 3, state: "Partial", shard_key: "k" }],
};

test("replicas of here and elsewhere are told in one way", () => {
  const found = replicasOf(INFO);
  assert.deepEqual(found.map(({ shard, peer, state }) => [shard, peer, state]),
    [[0, "3", "Partial"], [1, "3", "Dead"], [1, "9007199254740991", "Active"]]);
  assert.equal(found[2].points, 5);
});

test("health is that of the worst", () => {
  const replicas = replicasOf(INFO);
  assert.equal(health(replicas).kind, "bad");
  assert.equal(health(replicas.filter(({ state }) => state !== "Dead")).kind, "warn");
  assert.deepEqual(health(replicas.filter(({ state }) => state === "Active")), { kind: "good", text: "its replica is active" });
});

test("a transfer is aborted by its ends, points between shards by their resharding", () => {
  const ends = { shard_id: 0, from: 1, to: 2, sync: false };
  assert.deepEqual(abortOf({ ...ends, method: "snapshot" }).operation, { abort_transfer: { shard_id: 0, from_peer_id: 1, to_peer_id: 2 } });
  const between = abortOf({ ...ends, to_shard_id: 2, method: "resharding_stream_records" });
  assert.deepEqual([between.title, between.operation], ["Abort the resharding", { abort_resharding: {} }]);
});

test("a key's shards, replicas and points are counted, and 7 is not \"7\"", () => {
  const info = parse(`{"peer_id": 1, "local_shards": [
    {"shard_id": 0, "points_count": 5, "state": "Active", "shard_key": 7}, {"shard_id": 1, "points_count": 2, "state": "Active", "shard_key": 7},
    {"shard_id": 2, "points_count": 9, "state": "Active", "shard_key": "7"}],
    "remote_shards": [{"shard_id": 0, "peer_id": 3, "state": "Active", "shard_key": 7}, {"shard_id": 3, "peer_id": 3, "state": "Active", "shard_key": 18446744073709551615}]}`);
  const keys = parse('["7", 7, 18446744073709551615, "new"]');
  assert.deepEqual(perKey(keys, replicasOf(info)).map(({ shards, replicas, points }) => [shards, replicas, points]),
    [[1, 1, 9], [2, 3, 7], [1, 1, 0], [0, 0, 0]]);
});

test("keys are sent as they were meant", () => {
  const sent = (/** @type {string} */ kind, /** @type {string} */ text) => stringify(keyOf(kind, text).key);
  assert.equal(sent("text", "7"), '"7"');
  assert.equal(sent("number", "007"), "7");
  assert.equal(sent("number", "18446744073709551615"), "18446744073709551615");
  for (const [kind, text] of [["text", ""], ["number", ""], ["number", "-1"], ["number", "1.5"], ["number", "18446744073709551616"], ["number", "x"]]) {
    assert.notEqual(keyOf(kind, text).problem, null, text);
  }
});

test("what nodes use is told of each, also of one alone", () => {
  const config = { enabled: true, max_resident_memory_percent: 50, max_disk_usage_percent: null, release_margin_percent: 5 };
  const usage = { resident_memory_percent: 50, disk_usage_percent: 99 };
  assert.deepEqual(usageByPeer({ config, usage }), [{ peer: null, memory: 50, disk: 99, exceeded: true }]);
  assert.equal(usageByPeer({ config: { ...config, enabled: false }, usage })[0].exceeded, false);
  const peers = { 1: { exceeded: false, resident_memory_percent: null, disk_usage_percent: 3 } };
  assert.deepEqual(usageByPeer({ config, usage, peers }), [{ peer: "1", memory: null, disk: 3, exceeded: false }]);
});

test("percents are whole, within bounds, and may be left out", () => {
  assert.deepEqual(["", "1", "100"].map((text) => percentProblem(text, 1)), [null, null, null]);
  assert.equal(percentProblem("0", 0), null);
  for (const text of ["0", "101", "1.5", "-3", "x"]) assert.notEqual(percentProblem(text, 1), null, text);
});
