/** Principal components by subspace iteration: the two directions in which the points differ most. Pure. */

const ROUNDS = 40;

/**
 * @param {Float32Array} rows n × width, row by row; changed: they are centred
 * @param {number} width
 * @param {() => number} random in [0, 1)
 * @returns {Float32Array} n × 2, of unit spread in its first column
 */
export function principal(rows, width, random) {
  const n = rows.length / width;
  centre(rows, width);
  const axes = [0, 1].map(() => Float64Array.from({ length: width }, () => random() - 0.5));
  for (let round = 0; round < ROUNDS; round += 1) {
    orthonormal(axes);
    for (const axis of axes) axis.set(through(rows, width, axis));
  }
  // The longer one first: iteration keeps the plane, not the order within it.
  axes.sort((a, b) => length(b) - length(a));
  orthonormal(axes);
  const found = new Float32Array(n * 2);
  for (let row = 0; row < n; row += 1) {
    for (let k = 0; k < 2; k += 1) found[row * 2 + k] = dot(rows, row * width, axes[k]);
  }
  return scaled(found);
}

/** @param {Float32Array} rows @param {number} width */
function centre(rows, width) {
  const mean = new Float64Array(width);
  for (let at = 0; at < rows.length; at += 1) mean[at % width] += rows[at];
  const n = rows.length / width;
  for (let at = 0; at < rows.length; at += 1) rows[at] -= mean[at % width] / n;
}

/** The covariance, unscaled, times the axis. @param {Float32Array} rows @param {number} width @param {Float64Array} axis */
function through(rows, width, axis) {
  const found = new Float64Array(width);
  for (let start = 0; start < rows.length; start += width) {
    const weight = dot(rows, start, axis);
    for (let k = 0; k < width; k += 1) found[k] += weight * rows[start + k];
  }
  return found;
}

/** @param {Float32Array} rows @param {number} start @param {Float64Array} axis */
function dot(rows, start, axis) {
  let sum = 0;
  for (let k = 0; k < axis.length; k += 1) sum += rows[start + k] * axis[k];
  return sum;
}

/** @param {Float64Array} axis */
function length(axis) {
  return Math.sqrt(axis.reduce((sum, each) => sum + each * each, 0));
}

/** Gram and Schmidt, in place. @param {Float64Array[]} axes */
function orthonormal(axes) {
  axes.forEach((axis, at) => {
    for (const before of axes.slice(0, at)) {
      const along = axis.reduce((sum, each, k) => sum + each * before[k], 0);
      for (let k = 0; k < axis.length; k += 1) axis[k] -= along * before[k];
    }
    const size = length(axis) || 1;
    for (let k = 0; k < axis.length; k += 1) axis[k] /= size;
  });
}

/** @param {Float32Array} found */
function scaled(found) {
  let most = 0;
  for (const each of found) most = Math.max(most, Math.abs(each));
  return most > 0 ? found.map((each) => each / most) : found;
}
