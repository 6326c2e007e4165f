import assert from "node:assert/strict";
import { test } from "node:test";

import { bodyKeys, completions, operationsOf } from "../../../../router/dashboard/static/js/console/complete.js";
import { keepable, withEntry } from "../../../../router/dashboard/static/js/console/history.js";
import { tokens } from "../../../../router/dashboard/static/js/console/highlight.js";

const DOCUMENT = {
  paths: {
    "/collections": { get: { summary: "List" } },
    "/collections/{collection_name}": { get: {}, put: { requestBody: { content: { "application/json": { schema: { $ref: "#/components/schemas/Create" } } } } } },
    "/collections/{collection_name}/points/{id}": { get: {} },
    "/collections/{collection_name}/points/query": { post: {} },
    "/collections/aliases": { post: {} },
  },
  components: { schemas: { Create: { properties: { vectors: {}, shard_number: {} } } } },
};
const OPERATIONS = operationsOf(DOCUMENT);
const paths = (typed) => completions(typed, OPERATIONS, ["alpha", "a b"]).map(({ method, path }) => `${method} ${path}`);

test("paths are completed by what the node offers and by its collections", () => {
  assert.ok(paths("/coll").includes("GET /collections"));
  assert.ok(paths("/collections/al").includes("GET /collections/alpha"));
  assert.ok(paths("/collections/al").includes("POST /collections/aliases"));
  assert.ok(paths("/collections/a").includes("PUT /collections/a%20b"));
  assert.deepEqual(paths("/collections/alpha/points/q"), ["POST /collections/alpha/points/query", "GET /collections/alpha/points/q"]);
  assert.deepEqual(paths("/nothing"), []);
});

test("a path that somebody makes up is taken for the parameter it stands for", () => {
  assert.deepEqual(paths("/collections/new/points/query"), ["POST /collections/new/points/query", "GET /collections/new/points/query"]);
});

test("the keys of a body are those of its description", () => {
  assert.deepEqual(bodyKeys(DOCUMENT, "PUT", "/collections/x?timeout=1"), ["vectors", "shard_number"]);
  assert.deepEqual(bodyKeys(DOCUMENT, "GET", "/collections/x"), []);
  assert.deepEqual(bodyKeys(null, "GET", "/"), []);
});

test("parts of a text make up the text, right or wrong", () => {
  for (const text of ['{"a": [1, -2.5e3, true, null, "x\\"y"]}', '{"open: 1', "", "][,", '"\n"']) {
    assert.equal(tokens(text).map((each) => each.text).join(""), text);
  }
  assert.deepEqual(tokens('{"a": "b"}').filter((each) => each.kind).map((each) => each.kind), ["key", "string"]);
});

test("history keeps one of each request, latest first, and no keys of other nodes", () => {
  const entry = (path, body = "") => ({ method: "PUT", path, body, status: 200, at: 0 });
  const kept = withEntry(withEntry(withEntry([], entry("/a")), entry("/b")), entry("/a"));
  assert.deepEqual(kept.map(({ path }) => path), ["/a", "/b"]);
  assert.equal(keepable(entry("/c", '{"api_key": "secret"}')).body, "");
  assert.equal(keepable(entry("/c", "x".repeat(50_000))).body, "");
  assert.equal(withEntry(Array.from({ length: 80 }, (_, at) => entry(`/${at}`)), entry("/z")).length, 50);
});
