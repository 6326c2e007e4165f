/** Requests that were run, latest first. Pure but for where they are kept. */

import { keepPreference, preference } from "../core/session.js";

const KEPT = 50;
const BODY_MAX = 20_000; // characters

/** @typedef {{method: string, path: string, body: string, status: number, at: number}} Entry */

/** Keys of other nodes are not to stay in the browser. @param {Entry} entry @returns {Entry} */
export function keepable(entry) {
  const isSecret = /"api_key"\s*:/.test(entry.body);
  return isSecret || entry.body.length > BODY_MAX ? { ...entry, body: "" } : entry;
}

/** @param {Entry[]} entries @param {Entry} entry */
export function withEntry(entries, entry) {
  const kept = keepable(entry);
  const others = entries.filter((each) => each.method !== kept.method || each.path !== kept.path || each.body !== kept.body);
  return [kept, ...others].slice(0, KEPT);
}

/** @returns {Entry[]} */
export function readHistory() {
  try {
    const found = JSON.parse(preference("console") ?? "[]");
    return Array.isArray(found) ? found.filter((each) => typeof each?.path === "string" && typeof each?.body === "string") : [];
  } catch {
    return [];
  }
}

/** @param {Entry[]} entries */
export function keepHistory(entries) {
  keepPreference("console", entries.length ? JSON.stringify(entries) : null);
}
