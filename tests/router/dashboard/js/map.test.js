import assert from "node:assert/strict";
import { test } from "node:test";

import { colouring, coloursOf, GROUPS_MAX } from "../../../../router/dashboard/static/js/map/colours.js";
import { arrange, fuzzyGraph, fuzzyWeights } from "../../../../router/dashboard/static/js/map/neighbours.js";
import { principal } from "../../../../router/dashboard/static/js/map/pca.js";
import { randomOf } from "../../../../router/dashboard/static/js/map/random.js";
import { denseRows, valueAt } from "../../../../router/dashboard/static/js/map/records.js";

test("principal components find the plane in which the points lie", () => {
  const random = randomOf(3);
  const n = 200;
  const rows = new Float32Array(n * 5);
  const [a, b] = [[1, 2, 0, 0, 1], [0, 1, 1, -1, 0]];
  const parts = Array.from({ length: n }, () => [random() * 10 - 5, random() * 2 - 1]);
  parts.forEach(([s, t], row) => a.forEach((_, k) => { rows[row * 5 + k] = 7 + s * a[k] + t * b[k]; }));
  const found = principal(rows, 5, randomOf(1));
  const first = parts.map(([s]) => s);
  assert.ok(Math.abs(correlation(first, first.map((_, row) => found[row * 2]))) > 0.95);
  const spread = [0, 1].map((k) => Math.max(...first.map((_, row) => Math.abs(found[row * 2 + k]))));
  assert.ok(spread[0] > spread[1] && spread[0] <= 1.0001);
});

test("points without any difference lie in one place", () => {
  assert.deepEqual([...principal(Float32Array.from([1, 1, 1, 1]), 2, randomOf(1))], [0, 0, 0, 0]);
});

test("memberships sum up to log2, and the nearest has the most", () => {
  const weights = fuzzyWeights([0, 1, 2, 3, 4, 5, 6]);
  assert.ok(Math.abs(weights.reduce((sum, each) => sum + each, 0) - 3) < 1e-3);
  assert.deepEqual([...weights].sort((x, y) => y - x), weights);
  for (const weight of fuzzyWeights([0, 0, 0])) assert.ok(weight > 0 && weight <= 1);
});

test("neighbours end up together, and those of other groups apart", () => {
  const [groups, each] = [4, 30];
  const n = groups * each;
  const random = randomOf(5);
  const [from, to, scores] = [[], [], []];
  for (let point = 0; point < n; point += 1) {
    for (let k = 1; k <= 8; k += 1) {
      from.push(point);
      to.push(Math.floor(point / each) * each + ((point + k * 3) % each));
      scores.push(1 - k * 0.05);
    }
  }
  const graph = fuzzyGraph({ n, from, to, scores });
  assert.ok(graph.weight.every((weight) => weight > 0 && weight <= 1));
  const places = Float32Array.from({ length: n * 2 }, () => random() * 20 - 10);
  arrange(graph, places, { rounds: 120, random });
  assert.ok(places.every(Number.isFinite));
  const distance = (a, b) => Math.hypot(places[a * 2] - places[b * 2], places[a * 2 + 1] - places[b * 2 + 1]);
  let nearestAlike = 0;
  for (let point = 0; point < n; point += 1) {
    let best = -1;
    for (let other = 0; other < n; other += 1) if (other !== point && (best < 0 || distance(point, other) < distance(point, best))) best = other;
    nearestAlike += Math.floor(best / each) === Math.floor(point / each);
  }
  assert.ok(nearestAlike / n > 0.95, `${nearestAlike} of ${n}`);
});

test("vectors of all kinds become rows", () => {
  assert.deepEqual([...denseRows([{ id: 1, vector: [1, 2] }, { id: 2 }], "").rows], [1, 2]);
  assert.deepEqual([...denseRows([{ id: 1, vector: { a: [[1, 2], [3, 4]] } }], "a").rows], [2, 3]);
  assert.equal(denseRows([{ id: 1, vector: { s: { indices: [1], values: [1] } } }], "s").width, 0);
});

test("values are found by path", () => {
  const payload = { a: { b: [{ c: 7 }] }, tags: ["x", "y"], "odd.key": 1, none: null, object: {} };
  assert.equal(valueAt(payload, "a.b[].c"), 7);
  assert.equal(valueAt(payload, "tags"), "x");
  assert.equal(valueAt(payload, '"odd.key"'), 1);
  for (const key of ["none", "object", "absent", "a.x.y"]) assert.equal(valueAt(payload, key), undefined);
});

test("frequent values get colours, numbers a scale", () => {
  const words = colouring([...Array(20).keys()].map((at) => `w${Math.min(at, 14)}`).concat([undefined]));
  assert.equal(words.labels.length, GROUPS_MAX);
  assert.deepEqual(words.labels[0], { label: "w14", count: 6 });
  assert.equal(words.groups.at(-1), -1);
  const numbers = colouring([...Array(40).keys(), undefined]);
  assert.deepEqual(numbers.scale, { low: 0, high: 39 });
  const colours = coloursOf(numbers, "dark");
  assert.ok(numbers.groups.every((group) => group === -1 || /^#[0-9a-f]{6}$/.test(colours[group])));
  assert.equal(colouring([1, 2, 1]).scale, null);
});

function correlation(x, y) {
  const mean = (list) => list.reduce((sum, each) => sum + each, 0) / list.length;
  const [mx, my] = [mean(x), mean(y)];
  const sum = (f) => x.reduce((total, _, at) => total + f(x[at] - mx, y[at] - my), 0);
  return sum((p, q) => p * q) / Math.sqrt(sum((p) => p * p) * sum((_, q) => q * q));
}
