import assert from "node:assert/strict";
import { test } from "node:test";

import { health, replicasOf } from "../../../../router/dashboard/static/js/cluster/shape.js";

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
