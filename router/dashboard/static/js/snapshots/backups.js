/** Backups of the whole cluster on the node that is asked: listed, made, brought back. */

import { api, path } from "../core/api.js";
import { h } from "../core/dom.js";
import { moment, plural } from "../core/format.js";
import { button, whileBusy } from "../ui/buttons.js";
import { confirmed } from "../ui/dialog.js";
import { actionsCell, card, row, table } from "../ui/parts.js";
import { empty, load } from "../ui/states.js";
import { toast } from "../ui/toast.js";
import { extentOf, momentOf } from "./extent.js";

const AT = "/cluster/backups";

/** @param {AbortSignal} signal */
export function backupCard(signal) {
  const list = h("div");
  const refresh = (quiet = false) => load(list, signal, () => api.get(AT, { signal }), ({ backups }) => draw(backups), { quiet, lines: 3 });
  const create = button("Back up the cluster", () => whileBusy(create, async () => {
    const { collections, points } = extentOf(await api.post(AT, undefined));
    toast(`Backed up ${plural(points, "point")} of ${plural(collections, "collection")}`);
    await refresh(true);
  }), { kind: "primary small", icon: "plus" });
  refresh();
  return card("Backups of the cluster", [
    h("p.hint.card-body", {}, "Each holds all collections of all nodes as of one moment. They lie on this node, in the folder ", h("code", {}, "backups"),
      " beside its snapshots; a later one adds only what is new."), list], create);
}

/** @param {string[]} names */
function draw(names) {
  if (!names.length) return empty("No backups on this node yet", "A backup of the cluster brings all its collections back, into a cluster of any size.", { icon: "snapshot" });
  return table("Backups of the cluster", ["Name", "Made", "!Actions"], [...names].reverse().map((name) => {
    const restore = button("Restore", () => bringBack(name, restore), { kind: "small" });
    return row(name, h("span.nowrap", {}, moment(momentOf(name))), actionsCell(restore));
  }));
}

/** @param {string} name @param {any} restore the button */
async function bringBack(name, restore) {
  const agreed = await confirmed({ title: "Restore the backup", action: "Restore",
    text: `All collections of ${name} are created, and its aliases set. None of them may exist: delete those that do first. Their shards are led by this node at first.` });
  if (!agreed) return;
  await whileBusy(restore, async () => {
    await api.post(`${AT}${path(name)}/recover`, undefined);
    toast(`Restored ${name}`);
  });
}
