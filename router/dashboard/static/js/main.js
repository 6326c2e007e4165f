/** The start: the shell around the pages, and which page an address shows. */

import { api, onUnauthorized } from "./core/api.js";
import { fill, h } from "./core/dom.js";
import { link, parseHash } from "./core/route.js";
import { listenForShortcuts, shortcut } from "./core/shortcuts.js";
import { followSystem } from "./core/theme.js";
import { askForKey } from "./ui/key-dialog.js";
import { NAVIGATION, shell } from "./ui/shell.js";
import { failure, loading } from "./ui/states.js";

/**
 * @typedef {object} View what a page gets
 * @property {HTMLElement} root to be filled
 * @property {AbortSignal} signal aborted when the page is left
 * @property {(title: string) => void} title of the document
 */

/** @type {Record<string, () => Promise<{show: (view: View, route: import("./core/route.js").Route) => unknown}>>} */
const PAGES = {
  collections: () => import("./pages/collections.js"),
  collection: () => import("./pages/collection.js"),
  console: () => import("./pages/console.js"),
  cluster: () => import("./pages/cluster.js"),
  snapshots: () => import("./pages/snapshots.js"),
  tokens: () => import("./pages/tokens.js"),
};

/** @param {import("./core/route.js").Route} route */
function pageOf(route) {
  const [first, second] = route.parts;
  return first === "collections" && second !== undefined ? "collection" : first;
}

const { element, main, mark, instance } = shell();
document.body.replaceChildren(element);
onUnauthorized(askForKey);
followSystem();
listenForShortcuts();
for (const { name, label, keys } of NAVIGATION) {
  shortcut(keys, `Go to ${label.toLowerCase()}`, () => {
    location.hash = link([name]);
  });
}

let leaving = new AbortController();

/** @param {boolean} moved by the reader, who then has to be told where he is */
async function open(moved) {
  const route = parseHash(location.hash);
  const name = pageOf(route);
  const load = PAGES[name];
  if (!load) {
    location.replace(link(["collections"]));
    return;
  }
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const root = h("div.page", {}, loading());
  fill(main, root);
  mark(route.parts[0]);
  try {
    const page = await load();
    if (signal.aborted) return;
    const title = (/** @type {string} */ text) => {
      document.title = `${text} · Vecraft`;
    };
    await page.show({ root, signal, title }, route);
  } catch (error) {
    if (!signal.aborted) fill(root, h("div.card", {}, failure(error, () => open(false))));
  }
  if (moved && !signal.aborted) root.querySelector("h1")?.focus();
}

addEventListener("hashchange", () => open(true));
open(false);

api.get("/").then((about) => {
  instance.textContent = `API ${about.version}`;
}, () => {});
