/** Point ids: whole numbers up to 2^64, or UUIDs. Pure. */

import { parse } from "../core/json.js";

const UUID = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;
const LARGEST = 2n ** 64n - 1n;

/** What somebody typed, as the API takes it; null if it is no id. @param {string} text @returns {any} */
export function readId(text) {
  const typed = text.trim();
  if (/^\d{1,20}$/.test(typed)) {
    const number = BigInt(typed);
    return number <= LARGEST ? parse(String(number)) : null;
  }
  return UUID.test(typed) ? typed : null;
}

/** A dense vector that somebody typed: numbers with or without brackets; null if it is none. @param {string} text @returns {number[] | null} */
export function readVector(text) {
  const parts = text.trim().replace(/^\[|\]$/g, "").split(/[\s,;]+/).filter(Boolean);
  const numbers = parts.map(Number);
  return numbers.length && numbers.every(Number.isFinite) ? numbers : null;
}
