/** Filters from conditions as people choose them. Pure. */

import { parse } from "../core/json.js";

/** @typedef {{key: string, operator: string, value: string}} Condition */

export const OPERATORS = /** @type {[string, string][]} */ ([
  ["is", "is"], ["not", "is not"], ["any", "is one of"], ["text", "contains"],
  ["gte", "≥"], ["lte", "≤"], ["gt", ">"], ["lt", "<"], ["exists", "has a value"], ["empty", "has no value"],
]);

const RANGES = ["gte", "lte", "gt", "lt"];

/** Does this operator need no value? @param {string} operator */
export function standsAlone(operator) {
  return operator === "exists" || operator === "empty";
}

/**
 * All conditions at once; undefined if there are none. Conditions without a key say nothing yet.
 * @param {Condition[]} conditions
 */
export function filterOf(conditions) {
  /** @type {any[]} */
  const must = [];
  /** @type {any[]} */
  const mustNot = [];
  for (const { key, operator, value } of conditions) {
    if (!key) continue;
    if (operator === "not") mustNot.push({ key, match: { value: scalar(value) } });
    else if (operator === "exists") mustNot.push({ is_empty: { key } });
    else must.push(condition(key, operator, value));
  }
  if (!must.length && !mustNot.length) return undefined;
  return { ...(must.length && { must }), ...(mustNot.length && { must_not: mustNot }) };
}

/** @param {string} key @param {string} operator @param {string} value */
function condition(key, operator, value) {
  if (operator === "empty") return { is_empty: { key } };
  if (operator === "any") return { key, match: { any: anyOf(value) } };
  if (operator === "text") return { key, match: { text: value } };
  if (RANGES.includes(operator)) return { key, range: { [operator]: bound(value) } };
  return { key, match: { value: scalar(value) } };
}

/** A list is of one type: numbers if all are. @param {string} value */
function anyOf(value) {
  const parts = value.split(",").map((part) => part.trim()).filter(Boolean);
  const whole = parts.map(scalar);
  return whole.every((part) => typeof part !== "string" && typeof part !== "boolean") ? whole : parts.map(unquoted);
}

/** A number, or a time as text. @param {string} value */
function bound(value) {
  const typed = value.trim();
  return typed !== "" && Number.isFinite(Number(typed)) ? Number(typed) : typed;
}

/** Whole numbers and true and false are what they look like, unless in quotes. @param {string} value */
function scalar(value) {
  const typed = value.trim();
  if (typed === "true" || typed === "false") return typed === "true";
  return /^-?(0|[1-9]\d*)$/.test(typed) ? parse(typed) : unquoted(value);
}

/** @param {string} value */
function unquoted(value) {
  const found = /^\s*"(.*)"\s*$/s.exec(value);
  return found ? found[1] : value;
}
