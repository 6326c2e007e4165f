/** The REST API of the node that served this page. */

import { parse, parseBody, stringify } from "./json.js";
import { apiKey } from "./session.js";

/** The address that the API's paths are below, wherever a proxy put it. */
export const ROOT = new URL("../../../", import.meta.url);

/** An answer that says no, or none at all (status 0). */
export class ApiError extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }
}

/**
 * @typedef {object} Options
 * @property {AbortSignal} [signal]
 * @property {boolean} [exact] keep all numbers as they were written
 * @property {Record<string, any>} [query] parameters; undefined, null and "" are left out
 */

/**
 * @typedef {object} Answer
 * @property {number} status
 * @property {string} text
 * @property {number} milliseconds
 */

/** @type {(refused: string) => Promise<boolean>} */
let askForKey = async () => false;

/** Give the function that asks for a key when one is needed; it tells whether there is another one now. */
export function onUnauthorized(/** @type {(refused: string) => Promise<boolean>} */ ask) {
  askForKey = ask;
}

/** A path from parts, each of which may hold any character. @param {...(string | number)} parts */
export function path(...parts) {
  return `/${parts.map((part) => encodeURIComponent(String(part))).join("/")}`;
}

/** @param {string} target @param {Record<string, any>} [query] */
export function address(target, query = {}) {
  const url = new URL(target.replace(/^\/+/, ""), ROOT);
  if (url.origin !== ROOT.origin) throw new ApiError(0, "only addresses of this node can be asked");
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, String(value));
  }
  return url;
}

/** @returns {Record<string, string>} */
export function credentials() {
  const key = apiKey();
  return key ? { "api-key": key } : {};
}

/**
 * @param {string} method @param {string} target @param {BodyInit | undefined} body
 * @param {Options & {type?: string}} options
 * @returns {Promise<Response>} of any status but 401, unless nobody has a key
 */
export async function send(method, target, body, { signal, query, type } = {}) {
  for (;;) {
    const used = apiKey();
    const headers = { ...credentials(), ...(type ? { "content-type": type } : {}) };
    let response;
    try {
      response = await fetch(address(target, query), { method, headers, body, signal, redirect: "error" });
    } catch (error) {
      if (signal?.aborted || error instanceof ApiError) throw error;
      throw new ApiError(0, "The node does not answer. Is it running?");
    }
    if (response.status !== 401) return response;
    // A refusal that took its time may be of a key that is another by now.
    if (apiKey() === used && !(await askForKey(await response.clone().text()))) return response;
  }
}

/**
 * A call of which any answer is interesting.
 * @param {string} method @param {string} target @param {string | undefined} body @param {Options} [options]
 * @returns {Promise<Answer>}
 */
export async function call(method, target, body, options = {}) {
  const started = performance.now();
  const response = await send(method, target, body || undefined, {
    ...options,
    ...(body ? { type: "application/json" } : {}),
  });
  const text = await response.text();
  return { status: response.status, text, milliseconds: performance.now() - started };
}

/** @param {Response} response @param {boolean} [exact] @returns {Promise<any>} the result */
export async function resultOf(response, exact = false) {
  const text = await response.text();
  let found;
  try {
    found = text ? (exact ? parse : parseBody)(text) : {};
  } catch {
    found = null;
  }
  if (response.ok && found !== null) return "result" in Object(found) ? found.result : found;
  const told = found?.status?.error ?? text.trim();
  throw new ApiError(response.status, told || `The node answered with status ${response.status}.`);
}

/** @param {string} method */
function calling(method) {
  return async (/** @type {string} */ target, /** @type {any} */ body = undefined, /** @type {Options} */ options = {}) => {
    const text = body === undefined ? undefined : stringify(body);
    const response = await send(method, target, text, { ...options, ...(text ? { type: "application/json" } : {}) });
    return resultOf(response, options.exact);
  };
}

const asking = calling("GET");

/** Each answers with the result alone. @throws {ApiError} */
export const api = {
  /** @param {string} target @param {Options} [options] */
  get: (target, options) => asking(target, undefined, options),
  post: calling("POST"),
  put: calling("PUT"),
  patch: calling("PATCH"),
  delete: calling("DELETE"),
};

/**
 * `work` for each item, `width` at a time: a page of a hundred collections does not ask a hundred things at once.
 * @template T @param {Iterable<T>} items @param {number} width @param {(item: T) => Promise<void>} work
 */
export async function inTurns(items, width, work) {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: width }, worker));
}
