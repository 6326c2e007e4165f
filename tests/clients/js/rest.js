// @qdrant/js-client-rest through the life of a collection: `node rest.js URL`.
import assert from "node:assert/strict";
import { QdrantClient } from "@qdrant/js-client-rest";

const [url] = process.argv.slice(2);
const client = new QdrantClient({ url, timeout: 30_000 });
const name = "js-rest";
const ids = (points) => points.map((point) => point.id).sort();

await client.deleteCollection(name);
await client.createCollection(name, {
  vectors: { text: { size: 4, distance: "Dot" } },
  sparse_vectors: { words: {} },
});
await client.createPayloadIndex(name, { field_name: "topic", field_schema: "keyword", wait: true });
const points = [0, 1, 2, 3, 4, 5].map((n) => ({
  id: n,
  vector: { text: [n, 1, 0, 0], words: { indices: [n, 100], values: [1, 0.5] } },
  payload: { topic: n % 2 ? "odd" : "even", n },
}));
const written = await client.upsert(name, { wait: true, points });
assert.equal(written.status, "completed");
assert.equal((await client.count(name)).count, 6);

const near = await client.query(name, { query: [1, 0, 0, 0], using: "text", limit: 2, with_payload: true });
assert.deepEqual(near.points.map((point) => point.payload.n), [5, 4]);
const odd = { must: [{ key: "topic", match: { value: "odd" } }] };
const filtered = await client.query(name, { query: [1, 0, 0, 0], using: "text", filter: odd, limit: 9 });
assert.deepEqual(ids(filtered.points), [1, 3, 5]);
const fused = await client.query(name, {
  prefetch: [
    { query: [1, 0, 0, 0], using: "text", limit: 3 },
    { query: { indices: [5], values: [1] }, using: "words", limit: 3 },
  ],
  query: { fusion: "rrf" },
  limit: 1,
});
assert.deepEqual(ids(fused.points), [5]);
const grouped = await client.queryGroups(name, { query: 5, using: "text", group_by: "topic", group_size: 1 });
assert.deepEqual(grouped.groups.map((group) => group.id).sort(), ["even", "odd"]);
const page = await client.scroll(name, { filter: odd, limit: 2 });
assert.deepEqual([ids(page.points), page.next_page_offset], [[1, 3], 5]);

await client.delete(name, { wait: true, filter: odd });
assert.deepEqual(ids(await client.retrieve(name, { ids: [1, 2, 3, 4] })), [2, 4]);
await client.deleteCollection(name);
assert.equal((await client.collectionExists(name)).exists, false);
