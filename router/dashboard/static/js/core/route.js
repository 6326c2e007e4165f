/** Addresses within the dashboard: `#/collections/name/points?offset=7`. Pure. */

/**
 * @typedef {object} Route
 * @property {string[]} parts decoded
 * @property {URLSearchParams} query
 */

/** @param {string} hash @returns {Route} */
export function parseHash(hash) {
  const [way, query = ""] = split(hash.replace(/^#?\/?/, ""), "?");
  return { parts: way.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(query) };
}

/**
 * @param {string[]} parts
 * @param {Record<string, string | number | null | undefined>} [query]
 */
export function link(parts, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/** @param {string} text @param {string} mark */
function split(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
