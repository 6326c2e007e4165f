import assert from "node:assert/strict";
import { test } from "node:test";

import { link, parseHash } from "../../../../router/dashboard/static/js/core/route.js";

test("a link leads back to the names it was made of, whatever they hold", () => {
  for (const name of ["plain", "a/b", "?", "#", "%", "a b&c=d", "../x", "ü💥", '"><script>alert(1)</script>']) {
    const { parts, query } = parseHash(link(["collections", name, "points"], { find: name, none: null, empty: "" }));
    assert.deepEqual(parts, ["collections", name, "points"]);
    assert.deepEqual([...query], [["find", name]]);
  }
});

test("addresses that nobody made are read as well as may be", () => {
  assert.deepEqual(parseHash("").parts, []);
  assert.deepEqual(parseHash("#/").parts, []);
  assert.deepEqual(parseHash("#/a//%zz").parts, ["a", "%zz"]);
});
