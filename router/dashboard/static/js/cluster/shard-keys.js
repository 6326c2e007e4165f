/** The keys that a collection is sharded by: shown, added, dropped with their points. */

import { api, path } from "../core/api.js";
import { h } from "../core/dom.js";
import { count } from "../core/format.js";
import { button, iconButton, whileBusy } from "../ui/buttons.js";
import { confirmed, openDialog } from "../ui/dialog.js";
import { checkbox, field, fieldError, input, select } from "../ui/fields.js";
import { actionsCell, numberCell, row, table } from "../ui/parts.js";
import { empty } from "../ui/states.js";
import { failed, toast } from "../ui/toast.js";
import { keyOf, perKey, replicasOf } from "./shape.js";

/** @typedef {import("./shape.js").ShardKey} ShardKey */
/** @typedef {import("./replicas.js").Shown} Shown */

/** @param {Shown} shown @param {ShardKey[]} keys */
export function shardKeyTable(shown, keys) {
  const rows = perKey(keys, replicasOf(shown.info)).map(({ key, shards, replicas, points }) => row(
    [h("span.chip", {}, String(key)), typeof key !== "string" && h("span.hint", {}, " a number")],
    numberCell(count(shards)), numberCell(count(replicas)), numberCell(count(points)),
    actionsCell(iconButton("trash", `Delete shard key ${key}`, () => remove(key, shown), "quiet small"))));
  return [
    h("div.card-head.inner", {}, h("h3", {}, "Shard keys"), button("Add shard key", () => add(shown), { kind: "small", icon: "plus" })),
    rows.length ? table("Shard keys", ["Key", "#Shards", "#Replicas", "#Points on this node", "!Actions"], rows)
      : empty("No shard keys yet", "Points are written to a key, and each key has shards of its own.", { icon: "key" }),
  ];
}

/** @param {Shown} shown */
function add(shown) {
  const kind = select([["text", "Text"], ["number", "Number"]]);
  const name = input({ autocomplete: "off", spellcheck: "false" });
  const number = (/** @type {string} */ placeholder) => input({ type: "number", min: 1, placeholder });
  const [shards, replicas] = [number("as the collection"), number("as the collection")];
  const peers = shown.peers.map((peer) => ({ peer, ...checkbox(`Peer ${peer}`) }));
  const act = button("Add", () => {}, { kind: "primary" });
  act.type = "submit";
  const dialog = openDialog("Add a shard key", h("div.form", {},
    h("div.form-row", {}, field("Key", name), field("Kind", kind, "7 and “7” are two keys")),
    h("div.form-row", {}, field("Shards", shards), field("Copies of each", replicas)),
    h("fieldset.group", {}, h("legend", {}, "Peers"), h("p.hint", {}, "Where its shards are to be; none chosen: wherever there is room."),
      peers.map(({ element }) => element))), {
    foot: (close) => [button("Cancel", close), act],
    submit: () => {
      const { key, problem } = keyOf(kind.value, name.value);
      fieldError(name, problem);
      if (problem !== null) return;
      const chosen = peers.filter(({ box }) => box.checked).map(({ peer }) => Number(peer));
      whileBusy(act, async () => {
        await api.put(at(shown), { shard_key: key, shards_number: whole(shards), replication_factor: whole(replicas),
          placement: chosen.length ? chosen : undefined });
        dialog.close();
        toast(`Added shard key ${name.value}`);
        shown.refresh();
      });
    },
  });
  name.focus();
}

/** @param {HTMLInputElement} box */
function whole(box) {
  return box.value === "" ? undefined : Number(box.value);
}

/** @param {ShardKey} key @param {Shown} shown */
async function remove(key, shown) {
  const agreed = await confirmed({ title: "Delete shard key", danger: true, action: "Delete", typed: String(key) || undefined,
    text: `All points of ${shown.collection} that were written to it go with its shards. This cannot be undone.` });
  if (!agreed) return;
  try {
    await api.post(`${at(shown)}/delete`, { shard_key: key });
    toast(`Deleted shard key ${key}`);
    shown.refresh();
  } catch (error) {
    failed(error);
  }
}

/** @param {Shown} shown */
function at(shown) {
  return `${path("collections", shown.collection)}/shards`;
}
