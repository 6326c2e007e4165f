/** The cluster: its members, how they agree, where the replicas of a collection are, and what the nodes use. */

import { api, path } from "../core/api.js";
import { append, fill, h } from "../core/dom.js";
import { count, moment, plural } from "../core/format.js";
import { repeat } from "../core/repeat.js";
import { link } from "../core/route.js";
import { shortcut } from "../core/shortcuts.js";
import { quotaCard } from "../cluster/quotas.js";
import { replicaTables } from "../cluster/replicas.js";
import { shardKeyTable } from "../cluster/shard-keys.js";
import { button } from "../ui/buttons.js";
import { confirmed } from "../ui/dialog.js";
import { input } from "../ui/fields.js";
import { actionsCell, badge, card, numberCell, row, stats, table } from "../ui/parts.js";
import { empty, load, loading } from "../ui/states.js";
import { failed, toast } from "../ui/toast.js";

const REFRESH_MS = 3000;

/** @param {import("../main.js").View} view @param {import("../core/route.js").Route} route */
export async function show({ root, signal, title }, route) {
  title("Cluster");
  const state = h("div.stack", {}, loading(4));
  const replicas = h("div", {}, loading(4));
  const chosen = input({ list: "collections", "aria-label": "Collection", placeholder: "Collection", spellcheck: "false", value: route.query.get("of") ?? "" });
  const choices = h("datalist", { id: "collections" });
  const quotas = quotaCard(signal);
  /** @type {any} */
  let cluster = null;
  const peers = () => Object.keys(cluster?.peers ?? {}).sort();
  const showReplicas = (quiet = true) => {
    const collection = chosen.value;
    if (!collection) {
      fill(replicas, empty("No collection chosen", "Choose one to see its shards and where their replicas are.", { icon: "cluster" }));
      return Promise.resolve();
    }
    const at = path("collections", collection);
    return load(replicas, signal, () => Promise.all([api.get(`${at}/cluster`, { signal }), api.get(`${at}/shards`, { signal })]), ([info, { shard_keys: keys }]) => {
      const shown = { collection, info, peers: peers(), isCluster: cluster?.status === "enabled", refresh: showReplicas };
      return [replicaTables(shown), keys !== null && shardKeyTable(shown, keys.map((/** @type {{key: any}} */ each) => each.key))];
    }, { quiet, lines: 4 });
  };
  const showState = (quiet = true) => load(state, signal, async () => {
    cluster = await api.get("/cluster", { signal });
    return cluster.status === "enabled" ? api.get("/cluster/peers", { signal }) : [];
  }, (members) => drawCluster(cluster, members, refresh), { quiet, lines: 4 });
  const refresh = async () => {
    await showState();
    // What somebody is about to press is not to move under the pointer.
    if (!replicas.contains(document.activeElement)) await showReplicas();
    await quotas.refresh();
  };
  chosen.addEventListener("change", () => {
    history.replaceState(null, "", link(["cluster"], { of: chosen.value }));
    showReplicas(false);
  });
  shortcut("/", "Choose a collection", () => chosen.focus(), signal);
  fill(root, h("div.page-head", {}, h("h1", { tabindex: "-1" }, "Cluster")), state);
  const { collections } = await api.get("/collections", { signal });
  const names = collections.map((/** @type {{name: string}} */ each) => each.name).sort();
  fill(choices, names.map((/** @type {string} */ name) => h("option", { value: name })));
  chosen.value ||= names[0] ?? "";
  // Each part comes below those that are there, so that it moves nothing.
  await showState(false);
  append(root, [card("Shards and replicas", replicas, h("div.search.bare", {}, chosen), choices)]);
  await showReplicas(false);
  append(root, [quotas.element]);
  quotas.refresh(false);
  repeat(REFRESH_MS, signal, refresh);
}

/** @typedef {{id: number, uri: string, zone: string, version: string, node_type: string, draining: boolean, replicas: number, primaries: number}} Member */

/** @param {any} cluster @param {Member[]} members @param {() => void} refresh */
function drawCluster(cluster, members, refresh) {
  if (cluster.status !== "enabled") {
    return h("p.notice", {}, "This node runs alone. With cluster.enabled it can be joined by others, and keeps its collections.");
  }
  const raft = cluster.raft_info;
  const working = cluster.consensus_thread_status;
  return [
    stats([["Peers", count(members.length)], ["Leader", raft.leader === null ? badge("none", "bad") : h("span.id", {}, String(raft.leader))],
      ["Term", count(raft.term)], ["Agreed on", count(raft.commit)], ["Waiting", count(raft.pending_operations)],
      ["Consensus", badge(working.consensus_thread_status)]]),
    working.err && h("p.notice.bad", { role: "alert" }, working.err),
    card("Peers", table("Peers", ["Peer", "Role", "#Replicas", "#Leads", "Zone", "Messages that failed", "!Actions"], members.map((member) =>
      memberRow(cluster, member, refresh)))),
  ];
}

/** @param {any} cluster @param {Member} member @param {() => void} refresh */
function memberRow(cluster, member, refresh) {
  const { id, uri, draining } = member;
  const failures = cluster.message_send_failures?.[cluster.peers[id]?.uri];
  const roles = [cluster.raft_info.leader === id && badge("Leader"), member.node_type === "Listener" && badge("Listener"), draining && badge("draining", "warn"),
    cluster.peer_id === id && h("span.chip", {}, "this node")].filter(Boolean);
  return row([h("span.id", {}, String(id)), h("div.hint.mono.nowrap", {}, uri)],
    h("span.chips", {}, roles.length ? roles : h("span.hint", {}, "Follower")), numberCell(count(member.replicas)), numberCell(count(member.primaries)),
    member.zone || h("span.hint", {}, "none"),
    failures ? [badge(count(failures.count), "warn"), h("div.hint", {}, `${failures.latest_error}, ${moment(failures.latest_error_timestamp)}`)] : h("span.hint", {}, "none"),
    actionsCell(button(draining ? "Stop draining" : "Drain", () => drain(member, refresh), { kind: "small" }), " ",
      button("Remove", () => remove(String(id), refresh), { kind: "small danger" })));
}

/** @param {Member} member @param {() => void} refresh */
async function drain({ id, draining, replicas }, refresh) {
  const agreed = draining || await confirmed({ title: `Drain peer ${id}`, action: "Drain",
    text: `${plural(replicas, "replica")} will move to other peers in the background, and no new ones come. Reads and writes go on. It can be stopped at any time.` });
  if (!agreed) return;
  try {
    const at = `${path("cluster", "peer", id)}/drain`;
    await (draining ? api.delete(at) : api.put(at, undefined));
    toast(draining ? `Peer ${id} may hold replicas again` : `Peer ${id} gives its replicas away`);
    refresh();
  } catch (error) {
    failed(error);
  }
}

/** @param {string} peer @param {() => void} refresh */
async function remove(peer, refresh) {
  const agreed = await confirmed({ title: "Remove peer", danger: true, action: "Remove", typed: peer,
    text: "It leaves the cluster. This is refused while it has shards; drain it first." });
  if (!agreed) return;
  try {
    await api.delete(path("cluster", "peer", peer));
    toast(`Peer ${peer} has left`);
    refresh();
  } catch (error) {
    failed(error);
  }
}
