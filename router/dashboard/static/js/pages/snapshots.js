/** Snapshots of the whole storage; those of a collection are with the collection. */

import { fill, h } from "../core/dom.js";
import { snapshotCard } from "../snapshots/list.js";

/** @param {import("../main.js").View} view */
export async function show({ root, signal, title }) {
  title("Snapshots");
  fill(root, h("div.page-head", {}, h("h1", { tabindex: "-1" }, "Snapshots")),
    h("p.notice", {}, "A snapshot of everything holds all collections and aliases of this node. It is put back when a node starts: ",
      h("code", {}, "vecraft serve --storage-snapshot FILE"), ". Snapshots of one collection are on its page."),
    snapshotCard(null, signal));
}
