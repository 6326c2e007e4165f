/** A box for JSON: coloured, with errors marked where they are, indented as one types. */

import { fill, h, uniqueId } from "../core/dom.js";
import { JsonError, parse, stringify } from "../core/json.js";
import { tokens } from "./highlight.js";

const COLOURED_MAX = 40_000; // characters; longer texts are shown plain

/** @param {string} label */
export function jsonEditor(label) {
  const message = h("p.field-error", { id: uniqueId(), role: "status" });
  const paper = h("pre.editor-paper", { "aria-hidden": "true" });
  const text = h("textarea.editor-text", { "aria-label": label, "aria-describedby": message.id, spellcheck: "false", autocapitalize: "off", wrap: "soft" });
  const element = h("div.editor", {}, h("div.editor-box", {}, paper, text), message);
  /** @type {JsonError | null} */
  let error = null;
  const draw = () => {
    const shown = text.value.length <= COLOURED_MAX ? coloured(text.value, error) : text.value;
    fill(paper, shown, "\n");
    text.classList.toggle("plain", text.value.length > COLOURED_MAX);
  };
  const check = () => {
    error = null;
    try {
      if (text.value.trim()) parse(text.value);
    } catch (found) {
      error = found instanceof JsonError ? found : null;
    }
    text.setAttribute("aria-invalid", String(error !== null));
    message.textContent = error ? `Line ${error.line}, column ${error.column}: ${error.reason}` : "";
    draw();
  };
  text.addEventListener("input", check);
  text.addEventListener("scroll", () => {
    paper.scrollTop = text.scrollTop;
    paper.scrollLeft = text.scrollLeft;
  });
  text.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      newLine(text);
      check();
    }
  });
  return {
    element,
    text,
    error: () => error,
    /** @param {string} value */
    set(value) {
      text.value = value;
      check();
    },
    /** Write it anew, as long as it is JSON. */
    format() {
      check();
      if (!error && text.value.trim()) {
        text.value = stringify(parse(text.value), 2);
        draw();
      }
    },
    /** Go to where the error is. */
    showError() {
      if (!error) return;
      text.focus();
      text.setSelectionRange(error.offset, Math.min(error.offset + 1, text.value.length));
    },
  };
}

/** @param {string} value @param {JsonError | null} error */
function coloured(value, error) {
  let at = 0;
  return tokens(value).map((token) => {
    const start = at;
    at += token.text.length;
    if (!error || error.offset < start || error.offset >= at) return h(`span${token.kind && `.${token.kind}`}`, {}, token.text);
    const cut = error.offset - start;
    return [h("span", {}, token.text.slice(0, cut)), h("mark", {}, token.text.slice(cut, cut + 1)), h("span", {}, token.text.slice(cut + 1))];
  });
}

/** Break the line, as deep as the one before, one deeper after an opening bracket. @param {any} text */
function newLine(text) {
  const before = text.value.slice(0, text.selectionStart);
  const indent = /(?:^|\n)([ \t]*)[^\n]*$/.exec(before)?.[1] ?? "";
  const deeper = /[[{]\s*$/.test(before) ? "  " : "";
  const closes = deeper && /^[\]}]/.test(text.value.slice(text.selectionEnd));
  text.setRangeText(`\n${indent}${deeper}${closes ? `\n${indent}` : ""}`, text.selectionStart, text.selectionEnd, "end");
  if (closes) text.selectionStart = text.selectionEnd -= indent.length + 1;
}
