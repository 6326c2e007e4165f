/** A collection's configuration: what it says in a few words, and the body that creates one. Pure. */

/**
 * The vectors of a collection in a few words each.
 * @param {{vectors?: any, sparse_vectors?: any}} params @returns {string[]}
 */
export function vectorSummary(params) {
  const dense = vectorNames(params).dense.map(([name, config]) => {
    const kind = config.multivector_config ? " multi" : "";
    const type = config.datatype && config.datatype !== "float32" ? ` ${config.datatype}` : "";
    return `${name ? `${name}: ` : ""}${config.size} ${config.distance}${kind}${type}`;
  });
  const sparse = Object.keys(params.sparse_vectors ?? {}).map((name) => `${name}: sparse`);
  return [...dense, ...sparse];
}

/**
 * @param {{vectors?: any, sparse_vectors?: any}} params
 * @returns {{dense: [string, any][], sparse: [string, any][]}} by name; "" is the vector without one
 */
export function vectorNames(params) {
  const vectors = params.vectors ?? {};
  const isOne = typeof vectors.size === "number" && typeof vectors.distance === "string";
  return {
    dense: isOne ? [["", vectors]] : Object.entries(vectors),
    sparse: Object.entries(params.sparse_vectors ?? {}),
  };
}

/**
 * @typedef {object} VectorDraft
 * @property {"dense" | "multi" | "sparse"} kind
 * @property {string} name
 * @property {number} size
 * @property {string} distance
 * @property {string} datatype "" is the default
 * @property {boolean} onDisk
 * @property {boolean} idf
 */

/**
 * @typedef {object} Draft
 * @property {VectorDraft[]} vectors
 * @property {string} quantization "" is none
 * @property {number | null} shards
 * @property {number | null} replicas
 * @property {boolean} byKey shards are made per shard key
 * @property {number | null} m
 * @property {number | null} efConstruct
 * @property {boolean} payloadOnDisk
 */

/** @type {Record<string, any>} */
const QUANTIZATIONS = {
  scalar: { scalar: { type: "int8" } },
  product: { product: { compression: "x16" } },
  binary: { binary: {} },
};

/** What the draft asks of the node. @param {Draft} draft */
export function creation(draft) {
  const dense = draft.vectors.filter(({ kind }) => kind !== "sparse");
  const sparse = draft.vectors.filter(({ kind }) => kind === "sparse");
  const isOne = dense.length === 1 && dense[0].name === "";
  const hnsw = without({ m: draft.m, ef_construct: draft.efConstruct });
  return without({
    vectors: isOne ? denseConfig(dense[0]) : Object.fromEntries(dense.map((each) => [each.name, denseConfig(each)])),
    sparse_vectors: sparse.length ? Object.fromEntries(sparse.map((each) => [each.name, sparseConfig(each)])) : null,
    shard_number: draft.shards,
    sharding_method: draft.byKey ? "custom" : null,
    replication_factor: draft.replicas,
    on_disk_payload: draft.payloadOnDisk ? null : false,
    hnsw_config: Object.keys(hnsw).length ? hnsw : null,
    quantization_config: QUANTIZATIONS[draft.quantization] ?? null,
  });
}

/** @param {VectorDraft} draft */
function denseConfig({ kind, size, distance, datatype, onDisk }) {
  return without({
    size, distance,
    datatype: datatype || null,
    on_disk: onDisk || null,
    multivector_config: kind === "multi" ? { comparator: "max_sim" } : null,
  });
}

/** @param {VectorDraft} draft */
function sparseConfig({ idf }) {
  return idf ? { modifier: "idf" } : {};
}

/** @param {Record<string, any>} members @returns {Record<string, any>} those that are not null */
function without(members) {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== null));
}

/**
 * What is wrong with the names of a draft's vectors, by place; null where nothing is.
 * @param {VectorDraft[]} vectors @returns {(string | null)[]}
 */
export function nameProblems(vectors) {
  return vectors.map(({ name, kind }, at) => {
    if (name === "" && kind === "sparse") return "A sparse vector needs a name.";
    if (name === "" && vectors.filter((each) => each.kind !== "sparse").length > 1) return "Several vectors need names.";
    return vectors.findIndex((each) => each.name === name) < at ? "Another vector has this name." : null;
  });
}
