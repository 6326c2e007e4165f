/** One collection: its name, and a tab for each thing that can be seen or done. */

import { api, path } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { link } from "../core/route.js";
import { button } from "../ui/buttons.js";
import { confirmed } from "../ui/dialog.js";
import { tabs } from "../ui/parts.js";
import { loading } from "../ui/states.js";
import { failed, toast } from "../ui/toast.js";

/**
 * @typedef {object} Tab
 * @property {HTMLElement} root
 * @property {AbortSignal} signal
 * @property {string} name of the collection
 */

/** @type {[string, string, () => Promise<{show: (tab: Tab, route: import("../core/route.js").Route) => unknown}>][]} */
const TABS = [
  ["overview", "Overview", () => import("../collections/overview.js")],
  ["points", "Points", () => import("../collections/points.js")],
  ["map", "Map", () => import("../collections/map.js")],
  ["indexes", "Payload indexes", () => import("../collections/indexes.js")],
  ["snapshots", "Snapshots", () => import("../snapshots/list.js")],
  ["settings", "Settings", () => import("../collections/settings.js")],
];

/** @param {import("../main.js").View} view @param {import("../core/route.js").Route} route */
export async function show({ root, signal, title }, route) {
  const [, name, wanted = "overview"] = route.parts;
  const [current, label, load] = TABS.find(([key]) => key === wanted) ?? TABS[0];
  title(`${name} – ${label}`);
  const body = h("div.stack", {}, loading());
  fill(root,
    h("div.page-head", {},
      h("a.crumb", { href: link(["collections"]), "aria-label": "All collections" }, "Collections /"),
      h("h1", { tabindex: "-1" }, name),
      h("div.page-actions", {}, button("Delete", () => remove(name), { kind: "danger", icon: "trash" }))),
    tabs(TABS.map(([key, text]) => [key, text, link(["collections", name, key])]), current, "Parts of the collection"),
    body);
  const page = await load();
  if (!signal.aborted) await page.show({ root: body, signal, name }, route);
}

/** @param {string} name */
async function remove(name) {
  const agreed = await confirmed({ title: "Delete collection", danger: true, action: "Delete", typed: name,
    text: "All its points, indexes and aliases go with it. This cannot be undone." });
  if (!agreed) return;
  try {
    const gone = await api.delete(path("collections", name));
    if (!gone) throw new Error(`There is no collection of this name; it may be an alias.`);
    toast(`Deleted ${name}`);
    location.hash = link(["collections"]);
  } catch (error) {
    failed(error);
  }
}
