import assert from "node:assert/strict";
import { test } from "node:test";

import { creation, nameProblems, vectorSummary } from "../../../../router/dashboard/static/js/collections/config.js";

const VECTOR = { kind: "dense", name: "", size: 3, distance: "Dot", datatype: "", onDisk: false, idf: false };
const DRAFT = { vectors: [VECTOR], quantization: "", shards: null, replicas: null, byKey: false, m: null, efConstruct: null,
  payloadOnDisk: true };

test("a plain draft asks for nothing but its vector", () => {
  assert.deepEqual(creation(DRAFT), { vectors: { size: 3, distance: "Dot" } });
});

test("names, kinds and settings get into the request", () => {
  const body = creation({ ...DRAFT, quantization: "scalar", shards: 2, m: 0, byKey: true, payloadOnDisk: false, vectors: [
    { ...VECTOR, name: "a", datatype: "uint8", onDisk: true }, { ...VECTOR, name: "b", kind: "multi" },
    { ...VECTOR, name: "c", kind: "sparse", idf: true }] });
  assert.deepEqual(body, {
    vectors: {
      a: { size: 3, distance: "Dot", datatype: "uint8", on_disk: true },
      b: { size: 3, distance: "Dot", multivector_config: { comparator: "max_sim" } },
    },
    sparse_vectors: { c: { modifier: "idf" } },
    shard_number: 2,
    sharding_method: "custom",
    on_disk_payload: false,
    hnsw_config: { m: 0 },
    quantization_config: { scalar: { type: "int8" } },
  });
});

test("names that cannot be are told beside their vectors", () => {
  assert.deepEqual(nameProblems([VECTOR]), [null]);
  assert.deepEqual(nameProblems([{ ...VECTOR, kind: "sparse" }]), ["A sparse vector needs a name."]);
  const twice = nameProblems([{ ...VECTOR, name: "a" }, { ...VECTOR, name: "a", kind: "sparse" }]);
  assert.deepEqual(twice, [null, "Another vector has this name."]);
});

test("vectors in a few words", () => {
  const params = { vectors: { "": { size: 2, distance: "Dot" }, b: { size: 3, distance: "Cosine", datatype: "float16", multivector_config: {} } },
    sparse_vectors: { s: {} } };
  assert.deepEqual(vectorSummary(params), ["2 Dot", "b: 3 Cosine multi float16", "s: sparse"]);
  assert.deepEqual(vectorSummary({ vectors: { size: { size: 1, distance: "Dot" }, distance: { size: 1, distance: "Dot" } } }),
    ["size: 1 Dot", "distance: 1 Dot"]);
  assert.deepEqual(vectorSummary({}), []);
});
