/** JSON, right or wrong, cut into parts to be coloured. Pure. */

const TOKEN = /("(?:[^"\\\n]|\\.)*"?)(\s*:)?|(-?\d[\d.eE+-]*)|\b(true|false|null)\b/g;

/**
 * @param {string} text
 * @returns {{text: string, kind: "key" | "string" | "number" | "word" | ""}[]} which together are `text`
 */
export function tokens(text) {
  /** @type {{text: string, kind: "key" | "string" | "number" | "word" | ""}[]} */
  const found = [];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    if (match.index > end) found.push({ text: text.slice(end, match.index), kind: "" });
    if (match[1] !== undefined) {
      found.push({ text: match[1], kind: match[2] === undefined ? "string" : "key" });
      if (match[2]) found.push({ text: match[2], kind: "" });
    } else found.push({ text: match[0], kind: match[3] === undefined ? "word" : "number" });
    end = match.index + match[0].length;
  }
  if (end < text.length) found.push({ text: text.slice(end), kind: "" });
  return found;
}
