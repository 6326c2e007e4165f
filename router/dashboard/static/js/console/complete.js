/** What may follow what was typed as a path: from the node's own description and its collections. Pure. */

const SHOWN_MAX = 12;

/**
 * @typedef {object} Operation
 * @property {string} method
 * @property {string} path with parameters as {name}
 * @property {string} summary
 */

/** @param {any} document of /openapi.json @returns {Operation[]} */
export function operationsOf(document) {
  return Object.entries(document?.paths ?? {}).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, summary: operation.summary ?? "" })));
}

/**
 * Operations whose path fits what was typed; a typed segment fits a parameter, and collections stand for theirs.
 * @param {string} typed @param {Operation[]} operations @param {string[]} collections
 * @returns {Operation[]} paths as they would be typed, those first that name most of what was typed themselves
 */
export function completions(typed, operations, collections) {
  const wanted = typed.replace(/\?.*$/s, "").split("/").slice(typed.startsWith("/") ? 1 : 0);
  const found = operations.flatMap((operation) => {
    const parameters = operation.path.split("/").slice(1).filter((segment, at) => segment.startsWith("{") && wanted[at]).length;
    return fitting(operation, wanted, collections).map((each) => ({ each, parameters }));
  });
  const unique = [...new Map(found.map((entry) => [`${entry.each.method} ${entry.each.path}`, entry])).values()];
  unique.sort((a, b) => a.parameters - b.parameters || a.each.path.length - b.each.path.length || (a.each.path < b.each.path ? -1 : 1));
  return unique.slice(0, SHOWN_MAX).map(({ each }) => each);
}

/** @param {Operation} operation @param {string[]} wanted @param {string[]} collections */
function fitting(operation, wanted, collections) {
  const segments = operation.path.split("/").slice(1);
  if (wanted.length > segments.length) return [];
  /** @type {string[][]} */
  let ways = [[]];
  for (const [at, segment] of segments.entries()) {
    const choices = choicesAt(segment, wanted[at], at === wanted.length - 1, collections);
    ways = ways.flatMap((way) => choices.map((choice) => [...way, choice])).slice(0, SHOWN_MAX);
  }
  return ways.map((way) => ({ ...operation, path: `/${way.join("/")}` }));
}

/** @param {string} segment @param {string | undefined} typed @param {boolean} isLast of what was typed @param {string[]} collections */
function choicesAt(segment, typed, isLast, collections) {
  const starts = (/** @type {string} */ choice) => typed === undefined || (isLast ? choice.toLowerCase().startsWith(typed.toLowerCase()) : choice === typed);
  if (!segment.startsWith("{")) return starts(segment) ? [segment] : [];
  const named = segment === "{collection_name}" ? collections.map(encodeURIComponent).filter(starts) : [];
  if (typed !== undefined && typed !== "" && !named.includes(typed) && !(isLast && named.length)) return [typed];
  return named.length ? named : typed === undefined || typed === "" ? [segment] : [typed];
}

/** Body keys of an operation, for the hint below the editor. @param {any} document @param {string} method @param {string} path */
export function bodyKeys(document, method, path) {
  const wanted = path.replace(/\?.*$/s, "").split("/");
  const found = Object.entries(document?.paths ?? {}).find(([pattern, methods]) => {
    const segments = pattern.split("/");
    return method.toLowerCase() in methods && segments.length === wanted.length
      && segments.every((segment, at) => segment === wanted[at] || (segment.startsWith("{") && wanted[at] !== ""));
  });
  const schema = resolved(document, found?.[1]?.[method.toLowerCase()]?.requestBody?.content?.["application/json"]?.schema);
  return Object.keys(schema?.properties ?? {});
}

/** @param {any} document @param {any} schema */
function resolved(document, schema) {
  const name = /^#\/components\/schemas\/(.+)$/.exec(schema?.$ref ?? "")?.[1];
  return name ? document.components?.schemas?.[name] : schema;
}
