/**
 * A layout in which neighbours lie together: the graph of nearest neighbours, drawn by attraction along its
 * edges and repulsion from chance points (McInnes, Healy, Melville 2018, "UMAP", sections 3.1 and 3.2). Pure.
 */

// The curve 1 / (1 + a d^2b) for points that keep a tenth of a unit apart (their table for min_dist 0.1).
const A = 1.5769;
const B = 0.8951;
const REPELLED = 5; // chance points per edge and round
const STEP_MAX = 4; // of one coordinate, in one update

/**
 * @typedef {object} Graph
 * @property {number} n points
 * @property {ArrayLike<number>} from
 * @property {ArrayLike<number>} to places of neighbours, those of a point together and best first
 * @property {ArrayLike<number>} scores of any metric: only how far they are from the best of the point counts
 */

/**
 * @param {Graph} graph
 * @returns {{from: Int32Array, to: Int32Array, weight: Float32Array}} each pair once, weights in (0, 1]
 */
export function fuzzyGraph({ n, from, to, scores }) {
  const pairs = new Map();
  for (let start = 0; start < from.length; ) {
    let end = start;
    while (end < from.length && from[end] === from[start]) end += 1;
    const weights = fuzzyWeights(Array.from({ length: end - start }, (_, at) => Math.abs(scores[start + at] - scores[start])));
    weights.forEach((weight, at) => {
      const [low, high] = [from[start], to[start + at]].sort((x, y) => x - y);
      const key = low * n + high;
      const other = pairs.get(key) ?? 0;
      pairs.set(key, weight + other - weight * other);
    });
    start = end;
  }
  const keys = [...pairs.keys()];
  return {
    from: Int32Array.from(keys, (key) => Math.floor(key / n)),
    to: Int32Array.from(keys, (key) => key % n),
    weight: Float32Array.from(pairs.values()),
  };
}

/** Memberships that fall off so that they sum up to log2 of their number. @param {number[]} beyond distances beyond the nearest */
export function fuzzyWeights(beyond) {
  const wanted = Math.log2(beyond.length + 1);
  let [low, high, scale] = [0, Infinity, 1];
  for (let round = 0; round < 48; round += 1) {
    const sum = beyond.reduce((total, each) => total + Math.exp(-each / scale), 0);
    if (Math.abs(sum - wanted) < 1e-5) break;
    if (sum > wanted) high = scale;
    else low = scale;
    scale = high === Infinity ? scale * 2 : (low + high) / 2;
  }
  return beyond.map((each) => Math.exp(-each / Math.max(scale, 1e-12)));
}

/**
 * @param {ReturnType<typeof fuzzyGraph>} graph
 * @param {Float32Array} places n × 2, moved in place
 * @param {{rounds: number, random: () => number, each?: (round: number) => void}} options
 */
export function arrange(graph, places, { rounds, random, each = () => {} }) {
  const n = places.length / 2;
  const heaviest = graph.weight.reduce((most, weight) => Math.max(most, weight), 0);
  const every = graph.weight.map((weight) => heaviest / weight);
  const due = Float32Array.from(every);
  for (let round = 1; round <= rounds; round += 1) {
    const rate = 1 - (round - 1) / rounds;
    for (let edge = 0; edge < every.length; edge += 1) {
      if (due[edge] > round) continue;
      due[edge] += every[edge];
      const [a, b] = [graph.from[edge], graph.to[edge]];
      attract(places, a, b, rate);
      for (let chance = 0; chance < REPELLED; chance += 1) {
        repel(places, a, Math.floor(random() * n), rate);
        repel(places, b, Math.floor(random() * n), rate);
      }
    }
    each(round);
  }
}

/** @param {Float32Array} places @param {number} a @param {number} b @param {number} rate */
function attract(places, a, b, rate) {
  const squared = apart(places, a, b);
  if (squared === 0) return;
  const force = (-2 * A * B * squared ** (B - 1)) / (1 + A * squared ** B);
  for (let k = 0; k < 2; k += 1) {
    const step = bounded(force * (places[a * 2 + k] - places[b * 2 + k])) * rate;
    places[a * 2 + k] += step;
    places[b * 2 + k] -= step;
  }
}

/** @param {Float32Array} places @param {number} a moves @param {number} b @param {number} rate */
function repel(places, a, b, rate) {
  if (a === b) return;
  const squared = apart(places, a, b);
  const force = (2 * B) / ((0.001 + squared) * (1 + A * squared ** B));
  for (let k = 0; k < 2; k += 1) places[a * 2 + k] += bounded(force * (places[a * 2 + k] - places[b * 2 + k])) * rate;
}

/** @param {Float32Array} places @param {number} a @param {number} b */
function apart(places, a, b) {
  const [x, y] = [places[a * 2] - places[b * 2], places[a * 2 + 1] - places[b * 2 + 1]];
  return x * x + y * y;
}

/** @param {number} step */
function bounded(step) {
  return Math.max(-STEP_MAX, Math.min(STEP_MAX, step));
}
