/** Projections, away from the thread that draws: bodies of the API in, places of points out. */

import { parseBody } from "../core/json.js";
import { arrange, fuzzyGraph } from "./neighbours.js";
import { principal } from "./pca.js";
import { randomOf } from "./random.js";
import { denseRows } from "./records.js";

const SEED = 1;
const ROUNDS = 240;
const SHOWN_EVERY = 12; // rounds

/**
 * @typedef {object} Task
 * @property {ArrayBuffer} body of points with vectors
 * @property {string} using
 * @property {{ids: string[], from: number[], to: number[], scores: number[]} | null} graph null: principal components
 */

onmessage = (/** @type {MessageEvent<Task>} */ { data }) => {
  try {
    project(data);
  } catch (error) {
    postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
};

/** @param {Task} task */
function project({ body, using, graph }) {
  const answer = parseBody(new TextDecoder().decode(body));
  const points = Array.isArray(answer.result) ? answer.result : answer.result.points;
  const { ids, rows, width } = denseRows(points, using);
  const random = randomOf(SEED);
  const start = width ? principal(rows, width, random) : new Float32Array(0);
  if (!graph) {
    done(ids.map(String), start);
    return;
  }
  const places = beginning(graph.ids, ids, start, random);
  const fuzzy = fuzzyGraph({ n: graph.ids.length, ...graph });
  arrange(fuzzy, places, {
    rounds: ROUNDS,
    random,
    each: (round) => {
      if (round % SHOWN_EVERY === 0 && round < ROUNDS) postMessage({ ids: graph.ids, places: places.slice(), share: round / ROUNDS });
    },
  });
  done(graph.ids, places);
}

/** Principal components, spread out, are a good start; points without a dense vector begin anywhere. @param {string[]} wanted @param {any[]} ids @param {Float32Array} start @param {() => number} random */
function beginning(wanted, ids, start, random) {
  const known = new Map(ids.map((id, at) => [String(id), at]));
  const places = new Float32Array(wanted.length * 2);
  wanted.forEach((id, at) => {
    const place = known.get(id);
    for (let k = 0; k < 2; k += 1) {
      const from = place === undefined ? random() * 2 - 1 : start[place * 2 + k];
      places[at * 2 + k] = from * 10 + random() * 0.001;
    }
  });
  return places;
}

/** @param {string[]} ids @param {Float32Array} places */
function done(ids, places) {
  postMessage({ ids, places, share: 1 });
}
