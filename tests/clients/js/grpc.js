// @qdrant/js-client-grpc through the life of a collection: `node grpc.js URL`.
import assert from "node:assert/strict";
import { QdrantClient } from "@qdrant/js-client-grpc";

const [url] = process.argv.slice(2);
const client = new QdrantClient({ url, timeout: 30_000, checkCompatibility: false });
const collections = client.api("collections");
const service = client.api("points");
const name = "js-grpc";
const of = (value) => ({ case: "num", value: BigInt(value) });
const text = (value) => ({ kind: { case: "stringValue", value } });
const ids = (points) => points.map((point) => Number(point.id.pointIdOptions.value)).sort();
const dense = (data) => ({ vector: { case: "dense", value: { data } } });
const nearest = (data) => ({ variant: { case: "nearest", value: { variant: { case: "dense", value: { data } } } } });
const odd = {
  must: [
    { conditionOneOf: { case: "field", value: { key: "topic", match: { matchValue: { case: "keyword", value: "odd" } } } } },
  ],
};

await collections.delete({ collectionName: name });
await collections.create({
  collectionName: name,
  vectorsConfig: { config: { case: "params", value: { size: 4n, distance: 3 } } },
});
const points = [0, 1, 2, 3, 4, 5].map((n) => ({
  id: { pointIdOptions: of(n) },
  vectors: { vectorsOptions: { case: "vector", value: dense([n, 1, 0, 0]) } },
  payload: { topic: text(n % 2 ? "odd" : "even") },
}));
const written = await service.upsert({ collectionName: name, wait: true, points });
assert.equal(written.result.status, 2);
assert.equal((await service.count({ collectionName: name })).result.count, 6n);

const near = await service.query({ collectionName: name, query: nearest([1, 0, 0, 0]), limit: 2n });
assert.deepEqual(near.result.map((point) => Number(point.id.pointIdOptions.value)), [5, 4]);
const filtered = await service.search({ collectionName: name, vector: [1, 0, 0, 0], filter: odd, limit: 9n });
assert.deepEqual(ids(filtered.result), [1, 3, 5]);
const fused = await service.query({
  collectionName: name,
  prefetch: [
    { query: nearest([1, 0, 0, 0]), limit: 3n },
    { query: nearest([-1, 0, 0, 0]), filter: odd, limit: 1n },
  ],
  query: { variant: { case: "fusion", value: 0 } },
  limit: 2n,
});
assert.deepEqual(ids(fused.result), [1, 5]);
const scrolled = await service.scroll({ collectionName: name, filter: odd, limit: 2 });
assert.deepEqual(ids(scrolled.result), [1, 3]);

await service.delete({
  collectionName: name,
  wait: true,
  points: { pointsSelectorOneOf: { case: "filter", value: odd } },
});
assert.equal((await service.count({ collectionName: name, exact: true })).result.count, 3n);
await collections.delete({ collectionName: name });
assert.equal((await collections.collectionExists({ collectionName: name })).result.exists, false);
