/**
 * JSON without loss: ids are up to 2^64, and `1.0` is another value than `1` to a filter, so numbers that a
 * double would not print as they were written are kept as `Exact`. Errors say where they are.
 */

/** A number as it was written. */
export class Exact {
  /** @param {string} source */
  constructor(source) {
    this.source = source;
  }

  valueOf() {
    return Number(this.source);
  }

  toString() {
    return this.source;
  }

  /** For code that does not know of this class: the nearest double. */
  toJSON() {
    return Number(this.source);
  }
}

export class JsonError extends Error {
  /** @param {string} message @param {string} text @param {number} offset */
  constructor(message, text, offset) {
    const before = text.slice(0, offset);
    const line = before.split("\n").length;
    const column = offset - before.lastIndexOf("\n");
    super(`${message} (line ${line}, column ${column})`);
    this.name = "JsonError";
    this.reason = message;
    this.offset = offset;
    this.line = line;
    this.column = column;
  }
}

const DEPTH_MAX = 512;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const WORDS = /** @type {const} */ ([["true", true], ["false", false], ["null", null]]);
// An integer of sixteen digits or more may not be a double.
const LONG_INTEGER = /[[:,\s]-?\d{16,}\s*[,\]}]/;

/**
 * The value of `text`. @param {string} text @returns {any}
 * @throws {JsonError}
 */
export function parse(text) {
  return new Parser(text).whole();
}

/**
 * As `parse`, but quick for bodies full of vectors: only integers that a double cannot hold stay exact.
 * @param {string} text @returns {any}
 */
export function parseBody(text) {
  return LONG_INTEGER.test(text) ? parse(text) : JSON.parse(text);
}

class Parser {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  whole() {
    const value = this.value(0);
    this.space();
    if (this.at < this.text.length) throw this.error("nothing may follow the value");
    return value;
  }

  /** @param {string} message @param {number} [offset] */
  error(message, offset = this.at) {
    return new JsonError(message, this.text, offset);
  }

  space() {
    while (" \n\r\t".includes(this.text[this.at] ?? "x")) this.at += 1;
  }

  /** @param {number} depth @returns {any} */
  value(depth) {
    if (depth > DEPTH_MAX) throw this.error(`nested deeper than ${DEPTH_MAX} levels`);
    this.space();
    const first = this.text[this.at];
    if (first === "{") return this.object(depth);
    if (first === "[") return this.array(depth);
    if (first === '"') return this.string();
    for (const [word, value] of WORDS) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    return this.number();
  }

  /** @param {number} depth */
  object(depth) {
    /** @type {Record<string, any>} */
    const found = {};
    this.members("}", "a key in quotes", () => {
      if (this.text[this.at] !== '"') throw this.error("expected a key in quotes");
      const key = this.string();
      this.space();
      if (this.text[this.at] !== ":") throw this.error("expected a colon after the key");
      this.at += 1;
      const value = this.value(depth + 1);
      if (key !== "__proto__") found[key] = value;
      else Object.defineProperty(found, key, { value, enumerable: true, writable: true, configurable: true });
    });
    return found;
  }

  /** @param {number} depth */
  array(depth) {
    /** @type {any[]} */
    const found = [];
    this.members("]", "a value", () => found.push(this.value(depth + 1)));
    return found;
  }

  /** @param {string} end @param {string} what @param {() => void} member */
  members(end, what, member) {
    const opened = this.at;
    this.at += 1;
    this.space();
    if (this.text[this.at] === end) {
      this.at += 1;
      return;
    }
    for (;;) {
      this.space();
      if (this.at >= this.text.length) throw this.error(`"${this.text[opened]}" is never closed`, opened);
      if (this.text[this.at] === end) throw this.error(`expected ${what} after the comma`);
      member();
      this.space();
      const next = this.text[this.at];
      if (next === end || next === ",") this.at += 1;
      if (next === end) return;
      if (next === ",") continue;
      if (next === undefined) throw this.error(`"${this.text[opened]}" is never closed`, opened);
      throw this.error(`expected a comma or "${end}"`);
    }
  }

  string() {
    STRING.lastIndex = this.at;
    const found = STRING.exec(this.text);
    if (!found) throw this.error("a string that is not closed, or with a character that must be escaped");
    this.at += found[0].length;
    return found[0].includes("\\") ? JSON.parse(found[0]) : found[0].slice(1, -1);
  }

  number() {
    NUMBER.lastIndex = this.at;
    const found = NUMBER.exec(this.text);
    if (!found) {
      throw this.error(this.at < this.text.length ? "expected a value" : "the text ends where a value is expected");
    }
    this.at += found[0].length;
    const value = Number(found[0]);
    return String(value) === found[0] ? value : new Exact(found[0]);
  }
}

/**
 * `value` as text; short lists of plain values stay on one line.
 * @param {any} value @param {number} [indent] 0: all on one line
 * @returns {string}
 */
export function stringify(value, indent = 0) {
  return write(value, indent, "\n");
}

/** @param {any} value @param {number} indent @param {string} line @returns {string} */
function write(value, indent, line) {
  if (value instanceof Exact) return value.source;
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  const isList = Array.isArray(value);
  const inner = indent ? line + " ".repeat(indent) : "";
  const parts = isList
    ? value.map((each) => write(each, indent, inner || line))
    : Object.entries(value)
        .filter(([, each]) => each !== undefined)
        .map(([key, each]) => `${JSON.stringify(key)}:${indent ? " " : ""}${write(each, indent, inner || line)}`);
  const [open, close] = isList ? "[]" : "{}";
  if (!parts.length) return open + close;
  if (!indent) return open + parts.join(",") + close;
  const flat = isList && value.every((each) => typeof each !== "object" || each instanceof Exact || each === null);
  if (flat && parts.join(", ").length <= 88) return `${open}${parts.join(", ")}${close}`;
  return `${open}${inner}${parts.join(`,${inner}`)}${line}${close}`;
}
