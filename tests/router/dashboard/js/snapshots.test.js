import assert from "node:assert/strict";
import { test } from "node:test";

import { extentOf, momentOf } from "../../../../router/dashboard/static/js/snapshots/extent.js";

test("a backup's collections and points are counted", () => {
  assert.deepEqual(extentOf({ shards: { a: [{ points: 2 }, { points: 3 }], b: [] } }), { collections: 2, points: 5 });
  assert.deepEqual(extentOf({ shards: {} }), { collections: 0, points: 0 });
});

test("its name tells when it was made", () => {
  assert.equal(momentOf("2026-11-29-08-04-05-0a1b2c3d.backup"), "2026-11-29T08:04:05");
  assert.equal(momentOf("renamed.backup"), null);
});
