/** Snapshots of the whole storage, backups of the whole cluster; snapshots of a collection are with the collection. */

import { api } from "../core/api.js";
import { append, fill, h } from "../core/dom.js";
import { backupCard } from "../snapshots/backups.js";
import { snapshotCard } from "../snapshots/list.js";

/** @param {import("../main.js").View} view */
export async function show({ root, signal, title }) {
  title("Snapshots");
  const { element, loaded } = snapshotCard(null, signal);
  fill(root, h("div.page-head", {}, h("h1", { tabindex: "-1" }, "Snapshots")),
    h("p.notice", {}, "A snapshot of everything holds all collections and aliases of this node. It is put back when a node starts: ",
      h("code", {}, "vecraft serve --storage-snapshot FILE"), ". Snapshots of one collection are on its page."),
    element);
  const [cluster] = await Promise.allSettled([api.get("/cluster", { signal }), loaded]);
  // A node alone has no use for them; below what has come, they move nothing.
  const isCluster = cluster.status === "fulfilled" && cluster.value.status === "enabled";
  if (isCluster && !signal.aborted) append(root, [backupCard(signal)]);
}
