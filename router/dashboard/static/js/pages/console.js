/** Any request to the node, with its answer and those that were run before. */

import { api, call } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { duration, shortened, size } from "../core/format.js";
import { parse, stringify } from "../core/json.js";
import { shortcut } from "../core/shortcuts.js";
import { bodyKeys, completions, operationsOf } from "../console/complete.js";
import { jsonEditor } from "../console/editor.js";
import { keepHistory, readHistory, withEntry } from "../console/history.js";
import { pathBox } from "../console/path-box.js";
import { button, copyButton } from "../ui/buttons.js";
import { confirmed } from "../ui/dialog.js";
import { select } from "../ui/fields.js";
import { jsonView } from "../ui/json-view.js";
import { badge, card } from "../ui/parts.js";
import { empty, failure, loading } from "../ui/states.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"];
const TREE_MAX = 2_000_000; // characters of an answer that is shown as a tree

/** @param {import("../main.js").View} view */
export async function show({ root, signal, title }) {
  title("Console");
  new Console(root, signal).start();
}

class Console {
  /** @param {HTMLElement} root @param {AbortSignal} signal */
  constructor(root, signal) {
    this.root = root;
    this.signal = signal;
    /** @type {any} */
    this.document = null;
    /** @type {import("../console/complete.js").Operation[]} */
    this.operations = [];
    /** @type {string[]} */
    this.collections = [];
    this.history = readHistory();
    this.method = select(METHODS, { "aria-label": "Method" });
    this.path = pathBox((typed) => completions(typed, this.operations, this.collections), (operation) => this.picked(operation));
    this.editor = jsonEditor("Body, as JSON");
    this.keys = h("p.hint");
    this.answer = h("div", { "aria-live": "polite" });
    this.told = h("div.toolbar");
    this.past = h("div");
    this.answerText = "";
  }

  start() {
    const run = button("Run", () => this.run(), { kind: "primary", icon: "play", title: "Ctrl+Enter" });
    const request = h("section.card", { "aria-label": "Request", on: { keydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.run();
    } } },
    h("div.card-body.form", {},
      h("div.request-line", {}, this.method, this.path.element, run),
      this.editor.element, h("div.toolbar.between", {}, this.keys, button("Format", () => this.editor.format(), { kind: "small" }))));
    fill(this.root,
      h("div.page-head", {}, h("h1", { tabindex: "-1" }, "Console"), h("p.hint", {}, "Ctrl Enter runs the request")),
      h("div.console-layout", {},
        h("div.stack", {}, request,
          h("section.card", { "aria-label": "Answer" }, h("div.card-head", {}, h("h2", {}, "Answer"), this.told), this.answer)),
        card("History", this.past, button("Clear", () => this.clear(), { kind: "small quiet" }))));
    this.path.box.value = "/collections";
    fill(this.answer, empty("Nothing asked yet", "Choose a method and a path; what the node can do is offered as you type.", { icon: "console" }));
    this.method.addEventListener("change", () => this.hint());
    this.path.box.addEventListener("input", () => this.hint());
    this.drawHistory();
    shortcut("/", "Go to the path", () => this.path.box.focus(), this.signal);
    this.learn();
  }

  /** Completion is a help: without it the console works, too. */
  async learn() {
    const [document, listed] = await Promise.allSettled([
      api.get("/openapi.json", { signal: this.signal }), api.get("/collections", { signal: this.signal }),
    ]);
    if (document.status === "fulfilled") {
      this.document = document.value;
      this.operations = operationsOf(document.value);
    }
    if (listed.status === "fulfilled") this.collections = listed.value.collections.map((/** @type {{name: string}} */ each) => each.name);
    this.hint();
  }

  hint() {
    const keys = bodyKeys(this.document, this.method.value, this.path.box.value);
    this.keys.textContent = keys.length ? `Body: ${keys.join(", ")}` : this.method.value === "GET" ? "GET has no body" : "";
  }

  /** @param {import("../console/complete.js").Operation} operation */
  picked({ method }) {
    this.method.value = method;
    this.hint();
  }

  async run() {
    if (this.editor.error()) {
      this.editor.showError();
      return;
    }
    const [method, path] = [this.method.value, this.path.box.value.trim() || "/"];
    const body = method === "GET" ? "" : this.editor.text.value.trim(); // browsers send none with GET
    fill(this.told);
    fill(this.answer, loading(6));
    try {
      const found = await call(method, path, body, { signal: this.signal });
      this.show(found);
      this.history = withEntry(this.history, { method, path, body, status: found.status, at: Date.now() });
      keepHistory(this.history);
      this.drawHistory();
    } catch (error) {
      if (!this.signal.aborted) fill(this.answer, failure(error));
    }
  }

  /** @param {import("../core/api.js").Answer} answer */
  show({ status, text, milliseconds }) {
    this.answerText = text;
    fill(this.told, badge(String(status), status < 300 ? "good" : status < 500 ? "warn" : "bad"),
      h("span.hint", {}, `${duration(milliseconds)}, ${size(text.length)}`), copyButton(() => this.answerText, "Copy the answer"));
    fill(this.answer, h("div.card-body", {}, shown(text)));
  }

  drawHistory() {
    if (!this.history.length) {
      fill(this.past, h("p.hint.card-body", {}, "Requests you run are kept here, in this browser."));
      return;
    }
    fill(this.past, h("ul.history", {}, this.history.map((entry) => {
      const restore = () => {
        this.method.value = entry.method;
        this.path.box.value = entry.path;
        this.editor.set(entry.body);
        this.hint();
        this.editor.text.focus();
      };
      return h("li", {}, h("button.history-entry", { type: "button", on: { click: restore } },
        h("span.method", {}, entry.method), h("span.mono", {}, shortened(entry.path, 80)),
        badge(String(entry.status), entry.status < 300 ? "good" : "warn"),
        entry.body && h("span.hint.mono", {}, shortened(entry.body.replace(/\s+/g, " "), 60))));
    })));
  }

  async clear() {
    if (!(await confirmed({ title: "Clear the history", text: "The requests are forgotten by this browser.", action: "Clear", danger: true }))) return;
    this.history = [];
    keepHistory([]);
    this.drawHistory();
  }
}

/** @param {string} text */
function shown(text) {
  if (!text) return h("p.hint", {}, "The answer is empty.");
  try {
    const value = parse(text);
    return text.length > TREE_MAX ? h("pre.code", {}, stringify(value, 2).slice(0, TREE_MAX)) : jsonView(value, 4);
  } catch {
    return h("pre.code", {}, text);
  }
}
