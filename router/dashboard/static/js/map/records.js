/** Points as the API gives them into what is drawn: rows of numbers, values to colour by. Pure. */

/**
 * The dense vectors `using` of points, those of multivectors averaged, in one array; points without one are left out.
 * @param {{id: any, vector?: any}[]} points @param {string} using
 * @returns {{ids: any[], rows: Float32Array, width: number}}
 */
export function denseRows(points, using) {
  const found = points.map((point) => ({ id: point.id, vector: flat(Array.isArray(point.vector) ? point.vector : point.vector?.[using]) }))
    .filter((each) => each.vector !== null);
  const width = found[0]?.vector?.length ?? 0;
  const rows = new Float32Array(found.length * width);
  found.forEach((each, at) => rows.set(/** @type {number[]} */ (each.vector), at * width));
  return { ids: found.map((each) => each.id), rows, width };
}

/** @param {any} vector @returns {number[] | null} */
function flat(vector) {
  if (!Array.isArray(vector) || !vector.length) return null;
  if (!Array.isArray(vector[0])) return vector;
  return vector[0].map((_, k) => vector.reduce((sum, each) => sum + each[k], 0) / vector.length);
}

/**
 * The first plain value at a path of keys (`city.name`, `tags[]`); undefined if there is none.
 * @param {any} payload @param {string} key
 */
export function valueAt(payload, key) {
  let value = payload;
  for (const step of key.match(/"[^"]*"|[^.[\]]+/g) ?? []) {
    if (Array.isArray(value)) [value] = value;
    value = value?.[step.replaceAll('"', "")];
  }
  if (Array.isArray(value)) [value] = value;
  return value === null || (typeof value === "object" && !("source" in value)) ? undefined : value;
}
