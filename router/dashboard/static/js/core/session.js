/** What the browser keeps: the API key for this tab alone, preferences for good. Storage may be switched off. */

const KEY = "vecraft.api-key";

/** @type {Map<string, string>} what stands in for storage where there is none */
const memory = new Map();

/** @param {"localStorage" | "sessionStorage"} kind @param {string} name */
function read(kind, name) {
  try {
    return window[kind].getItem(name);
  } catch {
    return memory.get(name) ?? null;
  }
}

/** @param {"localStorage" | "sessionStorage"} kind @param {string} name @param {string | null} value */
function write(kind, name, value) {
  try {
    if (value === null) window[kind].removeItem(name);
    else window[kind].setItem(name, value);
  } catch {
    if (value === null) memory.delete(name);
    else memory.set(name, value);
  }
}

/** @returns {string | null} */
export function apiKey() {
  return read("sessionStorage", KEY);
}

/** @param {string | null} key null forgets it */
export function keepApiKey(key) {
  write("sessionStorage", KEY, key || null);
}

/** @param {string} name @returns {string | null} */
export function preference(name) {
  return read("localStorage", `vecraft.${name}`);
}

/** @param {string} name @param {string | null} value */
export function keepPreference(name, value) {
  write("localStorage", `vecraft.${name}`, value);
}
