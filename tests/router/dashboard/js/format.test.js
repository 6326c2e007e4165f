import assert from "node:assert/strict";
import { test } from "node:test";

import { count, duration, plural, score, shortened, size } from "../../../../router/dashboard/static/js/core/format.js";

test("sizes, numbers and times as people read them", () => {
  assert.equal(size(0), "0 B");
  assert.equal(size(1023), "1023 B");
  assert.equal(size(1536), "1.5 KiB");
  assert.equal(size(300 * 2 ** 30), "300 GiB");
  assert.equal(count(1234567), "1,234,567");
  assert.equal(plural(1, "point"), "1 point");
  assert.equal(plural(2000, "point"), "2,000 points");
  assert.equal(duration(0.2), "< 1 ms");
  assert.equal(duration(61_000), "1 min 1 s");
  assert.equal(score(0.98765432), "0.9877");
  assert.equal(score(0.00001), "1.00e-5");
});

test("texts are shortened by characters, not in the middle of one", () => {
  assert.equal(shortened("💥💥💥", 3), "💥💥💥");
  assert.equal(shortened("💥💥💥💥", 3), "💥💥…");
});
