/** Access tokens: what one allows, and its signature (JWT, HS256; RFC 7519, RFC 7515). Made here, sent nowhere. */

/**
 * @typedef {object} Entry access to one collection
 * @property {string} collection
 * @property {"r" | "rw" | "prw"} access
 * @property {Match[]} tenant values that the points it is about must have; none: all points
 */

/** @typedef {{key: string, value: string}} Match */

/**
 * @typedef {object} Grant
 * @property {"everything" | "manage" | "read" | "collections"} level
 * @property {Entry[]} entries
 * @property {number | null} expires unix seconds
 * @property {string} subject for the audit log
 * @property {string} id by which it can be revoked
 * @property {{collection: string} & Match | null} exists a point that must exist, or the token is void
 */

/** @param {Grant} grant @returns {Record<string, any>} claims */
export function claimsOf({ level, entries, expires, subject, id, exists }) {
  /** @type {Record<string, any>} */
  const claims = {};
  if (level === "manage") claims.access = "m";
  if (level === "read") claims.access = "r";
  if (level === "collections") claims.access = entries.map(entryOf);
  if (expires !== null) claims.exp = expires;
  if (subject) claims.subject = subject;
  if (id) claims.jti = id;
  if (exists) claims.value_exists = { collection: exists.collection, matches: [matchOf(exists)] };
  return claims;
}

/** @param {Entry} entry */
function entryOf({ collection, access, tenant }) {
  return { collection, access, ...(tenant.length && { tenant: tenant.map(matchOf) }) };
}

/** A value is a whole number or true or false if it looks so, unless in quotes. @param {Match} match */
function matchOf({ key, value }) {
  const quoted = /^"(.*)"$/s.exec(value);
  if (quoted) return { key, value: quoted[1] };
  if (value === "true" || value === "false") return { key, value: value === "true" };
  return { key, value: /^-?\d{1,15}$/.test(value) ? Number(value) : value };
}

/** What is wrong with a grant; null if nothing is. @param {Grant} grant */
export function problemOf({ level, entries, expires }) {
  if (expires !== null && !(expires > 0)) return "When does it expire?";
  if (level !== "collections") return null;
  if (!entries.length) return "Name at least one collection.";
  const names = entries.map(({ collection }) => collection);
  if (names.includes("")) return "Each entry needs a collection.";
  if (entries.some(({ tenant }) => tenant.some(({ key, value }) => !key || !value))) return "A tenant needs a field and a value.";
  return new Set(names).size < names.length ? "A collection may be named only once." : null;
}

/** @param {Record<string, any>} claims @param {string} key @returns {Promise<string>} */
export async function sign(claims, key) {
  const encoder = new TextEncoder();
  const head = [{ alg: "HS256", typ: "JWT" }, claims].map((part) => encoded(encoder.encode(JSON.stringify(part)))).join(".");
  const secret = await crypto.subtle.importKey("raw", encoder.encode(key), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const signature = await crypto.subtle.sign("HMAC", secret, encoder.encode(head));
  return `${head}.${encoded(new Uint8Array(signature))}`;
}

/** @param {Uint8Array} bytes base64url, without padding */
function encoded(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
