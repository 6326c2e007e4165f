/** What the points page asks of the node. Pure. */

import { readId, readVector } from "./ids.js";

/**
 * @typedef {object} Search
 * @property {"browse" | "like" | "vector" | "text"} by
 * @property {string} text an id, a vector, or words
 * @property {string} model of a text
 * @property {string} using "" is the vector without a name
 * @property {any} filter
 * @property {number} limit
 * @property {any} offset of a page when browsing, null: the first
 */

/**
 * @param {Search} search
 * @returns {{target: "scroll" | "query", body: any} | {problem: string}}
 */
export function requestOf({ by, text, model, using, filter, limit, offset }) {
  if (by === "browse") {
    return { target: "scroll", body: { limit, filter, offset: offset ?? undefined, with_payload: true } };
  }
  const query = queryOf(by, text, model);
  if (query === null) return { problem: PROBLEMS[by] };
  return { target: "query", body: { query, using: using || undefined, filter, limit, with_payload: true } };
}

const PROBLEMS = {
  browse: "",
  like: "An id is a whole number or a UUID.",
  vector: "A vector is a list of numbers.",
  text: "Which text?",
};

/** @param {Search["by"]} by @param {string} text @param {string} model */
function queryOf(by, text, model) {
  if (by === "like") return readId(text);
  if (by === "vector") return readVector(text);
  return text.trim() ? { text, model } : null;
}
