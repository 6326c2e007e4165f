/** A collection's shards and their replicas, peer by peer; moving, copying and dropping them. */

import { api, path } from "../core/api.js";
import { h } from "../core/dom.js";
import { plural } from "../core/format.js";
import { button, iconButton, whileBusy } from "../ui/buttons.js";
import { confirmed, openDialog } from "../ui/dialog.js";
import { field, select } from "../ui/fields.js";
import { actionsCell, badge, row, table } from "../ui/parts.js";
import { empty } from "../ui/states.js";
import { failed, toast } from "../ui/toast.js";
import { abortOf, health, replicasOf } from "./shape.js";

const METHODS = /** @type {[string, string][]} */ ([["", "By the node"], ["snapshot", "snapshot"], ["stream_records", "stream_records"], ["wal_delta", "wal_delta"]]);

/** @typedef {{collection: string, info: any, peers: string[], isCluster: boolean, refresh: () => void}} Shown */

/** @param {Shown} shown */
export function replicaTables(shown) {
  const replicas = replicasOf(shown.info);
  if (!replicas.length) return empty("No shards", "Shards of this collection are made with its shard keys.");
  const { kind, text } = health(replicas);
  const shards = [...new Set(replicas.map(({ shard }) => shard))];
  const holders = shown.isCluster ? shown.peers : [String(shown.info.peer_id)];
  const rows = shards.map((shard) => {
    const own = replicas.filter((each) => each.shard === shard);
    const key = own[0].key;
    return row([`Shard ${shard}`, key !== undefined && [" ", h("span.chip", {}, String(key))]],
      ...holders.map((peer) => cell(own.find((each) => each.peer === peer), shown)));
  });
  return [
    h("div.card-body", {}, badge(text, kind)),
    table("Shards and their replicas", ["Shard", ...holders.map((peer) => `Peer ${peer}`)], rows),
    transfers(shown),
  ];
}

/** @param {import("./shape.js").Replica | undefined} replica @param {Shown} shown */
function cell(replica, shown) {
  if (!replica) return h("span.hint", {}, "–");
  return h("div.replica", {}, badge(replica.state),
    replica.points !== undefined && h("span.hint", {}, plural(replica.points, "point")),
    shown.isCluster && iconButton("more", `Change replica of shard ${replica.shard} on peer ${replica.peer}`, () => change(replica, shown), "quiet small"));
}

/** @param {import("./shape.js").Replica} replica @param {Shown} shown */
function change(replica, shown) {
  const { shard, peer } = replica;
  const others = shown.peers.filter((each) => !replicasOf(shown.info).some((other) => other.shard === shard && other.peer === each));
  const what = select([...(others.length ? /** @type {[string, string][]} */ ([["move_shard", "Move it to another peer"], ["replicate_shard", "Copy it to another peer"]]) : []),
    ["drop_replica", "Drop it"]]);
  const to = select(others.map((each) => [each, `Peer ${each}`]));
  const method = select(METHODS);
  const targets = h("div.form-row", {}, field("To", to), field("By", method));
  const switched = () => {
    targets.hidden = what.value === "drop_replica";
  };
  what.addEventListener("input", switched);
  switched();
  const act = button("Do it", () => {}, { kind: "primary" });
  act.type = "submit";
  const dialog = openDialog(`Shard ${shard} on peer ${peer}`, h("div.form", {}, field("What", what), targets,
    h("p.hint", {}, "Points stay readable meanwhile. A dropped replica's copy is gone; the last one cannot be dropped.")), {
    foot: (close) => [button("Cancel", close), act],
    submit: () => whileBusy(act, async () => {
      const isDrop = what.value === "drop_replica";
      const body = isDrop ? { shard_id: shard, peer_id: Number(peer) }
        : { shard_id: shard, from_peer_id: Number(peer), to_peer_id: Number(to.value), ...(method.value && { method: method.value }) };
      await clusterOperation(shown.collection, { [what.value]: body });
      dialog.close();
      toast(isDrop ? "Dropped" : "Started; the transfer is listed until it is done");
      shown.refresh();
    }),
  });
}

/** @param {Shown} shown */
function transfers(shown) {
  const running = shown.info.shard_transfers ?? [];
  if (!running.length) return h("p.hint.card-body", {}, "No transfers are running.");
  return table("Transfers", ["Transfer", "From", "To", "How", "!Actions"], running.map((/** @type {any} */ each) => row(
    each.to_shard_id === undefined ? `Shard ${each.shard_id}` : `Shard ${each.shard_id} → shard ${each.to_shard_id}`, String(each.from), String(each.to),
    [each.sync ? "copy" : "move", ", ", each.method ?? "", each.comment && h("div.hint", {}, each.comment)],
    actionsCell(button("Abort", () => abort(each, shown), { kind: "small danger" })))));
}

/** @param {any} transfer @param {Shown} shown */
async function abort(transfer, shown) {
  const { title, text, operation } = abortOf(transfer);
  const agreed = await confirmed({ title, text, action: "Abort", danger: true });
  if (!agreed) return;
  try {
    await clusterOperation(shown.collection, operation);
    shown.refresh();
  } catch (error) {
    failed(error);
  }
}

/** @param {string} collection @param {Record<string, any>} operation */
export function clusterOperation(collection, operation) {
  return api.post(`${path("collections", collection)}/cluster`, operation);
}
