import assert from "node:assert/strict";
import { test } from "node:test";

import { stringify } from "../../../../router/dashboard/static/js/core/json.js";
import { filterOf } from "../../../../router/dashboard/static/js/points/filter.js";
import { readId, readVector } from "../../../../router/dashboard/static/js/points/ids.js";
import { requestOf } from "../../../../router/dashboard/static/js/points/request.js";

test("ids are whole numbers up to 2^64 and UUIDs, and stay exact", () => {
  assert.equal(readId(" 42 "), 42);
  assert.equal(stringify(readId("18446744073709551615")), "18446744073709551615");
  assert.equal(readId("18446744073709551616"), null);
  assert.equal(readId("550e8400-e29b-41d4-a716-446655440000"), "550e8400-e29b-41d4-a716-446655440000");
  for (const text of ["", "-1", "1.5", "x", "550e8400"]) assert.equal(readId(text), null);
});

test("vectors are lists of numbers, however they are written", () => {
  assert.deepEqual(readVector("[1, -2.5, 3e-1]"), [1, -2.5, 0.3]);
  assert.deepEqual(readVector("1 2;3"), [1, 2, 3]);
  for (const text of ["", "[]", "1, x", "NaN", "Infinity"]) assert.equal(readVector(text), null);
});

test("conditions become the filter they say", () => {
  const of = (operator, value = "") => filterOf([{ key: "k", operator, value }]);
  assert.equal(filterOf([]), undefined);
  assert.equal(filterOf([{ key: "", operator: "is", value: "x" }]), undefined);
  assert.deepEqual(of("is", "a"), { must: [{ key: "k", match: { value: "a" } }] });
  assert.deepEqual(of("is", "7"), { must: [{ key: "k", match: { value: 7 } }] });
  assert.deepEqual(of("is", '"7"'), { must: [{ key: "k", match: { value: "7" } }] });
  assert.deepEqual(of("is", "true"), { must: [{ key: "k", match: { value: true } }] });
  assert.deepEqual(of("not", "a"), { must_not: [{ key: "k", match: { value: "a" } }] });
  assert.deepEqual(of("any", "a, b"), { must: [{ key: "k", match: { any: ["a", "b"] } }] });
  assert.deepEqual(of("any", "1,2"), { must: [{ key: "k", match: { any: [1, 2] } }] });
  assert.deepEqual(of("any", "1,b"), { must: [{ key: "k", match: { any: ["1", "b"] } }] });
  assert.deepEqual(of("gte", "1.5"), { must: [{ key: "k", range: { gte: 1.5 } }] });
  assert.deepEqual(of("lt", "2024-01-01T00:00:00Z"), { must: [{ key: "k", range: { lt: "2024-01-01T00:00:00Z" } }] });
  assert.deepEqual(of("exists"), { must_not: [{ is_empty: { key: "k" } }] });
  assert.deepEqual(of("empty"), { must: [{ is_empty: { key: "k" } }] });
  assert.equal(stringify(of("is", "9007199254740993")), '{"must":[{"key":"k","match":{"value":9007199254740993}}]}');
});

const SEARCH = { by: "browse", text: "", model: "m", using: "", filter: undefined, limit: 5, offset: null };

test("each way of looking has its request, or says what is missing", () => {
  assert.deepEqual(requestOf({ ...SEARCH, offset: 9 }).body, { limit: 5, filter: undefined, offset: 9, with_payload: true });
  assert.equal(requestOf({ ...SEARCH, by: "like", text: "7" }).body.query, 7);
  assert.deepEqual(requestOf({ ...SEARCH, by: "vector", text: "1,2", using: "v" }).body.query, [1, 2]);
  assert.deepEqual(requestOf({ ...SEARCH, by: "text", text: "owl" }).body.query, { text: "owl", model: "m" });
  for (const by of ["like", "vector", "text"]) assert.ok(requestOf({ ...SEARCH, by }).problem);
});
