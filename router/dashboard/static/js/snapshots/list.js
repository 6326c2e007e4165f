/** Snapshots of a collection or of the whole storage: made, fetched, deleted, put back. */

import { address, api, credentials, path, resultOf, send } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { moment, size } from "../core/format.js";
import { apiKey } from "../core/session.js";
import { button, iconButton, whileBusy } from "../ui/buttons.js";
import { confirmed, openDialog } from "../ui/dialog.js";
import { field, fieldError, input, select } from "../ui/fields.js";
import { actionsCell, card, numberCell, row, table } from "../ui/parts.js";
import { empty, load } from "../ui/states.js";
import { failed, toast } from "../ui/toast.js";

const PRIORITIES = /** @type {[string, string][]} */ ([
  ["snapshot", "The snapshot: other replicas are brought to it"], ["replica", "Other replicas: this one is brought to them"],
  ["no_sync", "Neither: replicas are not compared"],
]);

/** @typedef {{name: string, size: number, creation_time: string | null, checksum: string | null}} Snapshot */

/**
 * @param {string | null} collection null: of the whole storage
 * @param {AbortSignal} signal
 */
export function snapshotCard(collection, signal) {
  const at = collection === null ? "/snapshots" : `${path("collections", collection)}/snapshots`;
  const list = h("div");
  const refresh = (quiet = false) => load(list, signal, () => api.get(at, { signal }), (found) => draw(at, found, refresh), { quiet, lines: 3 });
  const create = button("Create snapshot", () => whileBusy(create, async () => {
    const made = await api.post(at, undefined);
    toast(`Created ${made.name}`);
    await refresh(true);
  }), { kind: "primary small", icon: "plus" });
  const element = card(collection === null ? "Snapshots of everything" : "Snapshots", list, create,
    collection !== null && button("Recover", () => recover(collection), { kind: "small", icon: "upload" }));
  return { element, loaded: refresh() };
}

/** @param {string} at @param {Snapshot[]} found @param {(quiet: boolean) => Promise<void>} refresh */
function draw(at, found, refresh) {
  if (!found.length) return empty("No snapshots yet", "A snapshot is a file of all points, indexes and settings as of one moment.", { icon: "snapshot" });
  const latest = [...found].sort((a, b) => ((b.creation_time ?? "") < (a.creation_time ?? "") ? -1 : 1));
  return table("Snapshots", ["Name", "Made", "#Size", "Checksum", "!Actions"], latest.map((each) => row(
    each.name, h("span.nowrap", {}, moment(each.creation_time)), numberCell(size(each.size)),
    each.checksum ? h("code", { title: each.checksum }, `${each.checksum.slice(0, 12)}…`) : h("span.hint", {}, "none"),
    actionsCell(iconButton("download", `Download ${each.name}`, () => download(at, each.name), "quiet small"),
      iconButton("trash", `Delete ${each.name}`, () => remove(at, each.name, refresh), "quiet small")))));
}

/** The browser fetches it by itself, unless a key has to be sent along. @param {string} at @param {string} name */
async function download(at, name) {
  const target = `${at}/${encodeURIComponent(name)}`;
  try {
    const href = apiKey() ? URL.createObjectURL(await (await checked(await send("GET", target, undefined, {}))).blob()) : address(target).href;
    const anchor = h("a", { href, download: name });
    anchor.click();
    if (href.startsWith("blob:")) setTimeout(() => URL.revokeObjectURL(href), 60_000);
  } catch (error) {
    failed(error);
  }
}

/** @param {Response} response */
async function checked(response) {
  if (!response.ok) await resultOf(response); // which throws
  return response;
}

/** @param {string} at @param {string} name @param {(quiet: boolean) => Promise<void>} refresh */
async function remove(at, name, refresh) {
  if (!(await confirmed({ title: "Delete snapshot", text: `${name} goes for good.`, action: "Delete", danger: true }))) return;
  try {
    await api.delete(`${at}/${encodeURIComponent(name)}`);
    await refresh(true);
  } catch (error) {
    failed(error);
  }
}

/** @param {string} collection */
function recover(collection) {
  const from = select([["file", "A file of this computer"], ["location", "An address"]]);
  const file = h("input.input", { type: "file" });
  const location = input({ placeholder: "https://… or file:///…", spellcheck: "false" });
  const checksum = input({ placeholder: "SHA-256, optional", spellcheck: "false", class: "input mono" });
  const priority = select(PRIORITIES);
  const [fileField, locationField] = [field("File", file), field("Address", location, "Reached by the node, not by this browser")];
  const progress = h("div.meter", { hidden: true, role: "progressbar", "aria-label": "Sent" }, h("span"));
  const switched = () => {
    fileField.hidden = from.value !== "file";
    locationField.hidden = from.value === "file";
  };
  from.addEventListener("input", switched);
  switched();
  const act = button("Recover", () => {}, { kind: "danger primary" });
  act.type = "submit";
  const dialog = openDialog(`Recover ${collection}`, h("div.form", {}, h("p", {}, "The collection becomes what it was when the snapshot was made; later changes are gone."),
    field("From", from), fileField, locationField, field("Which copy counts", priority), field("Checksum", checksum), progress), {
    foot: (close) => [button("Cancel", close), act],
    submit: () => {
      const isFile = from.value === "file";
      const chosen = isFile ? file : location;
      fieldError(chosen, chosen.value ? null : "From where?");
      if (!chosen.value) return;
      whileBusy(act, async () => {
        const options = { priority: priority.value, checksum: checksum.value || undefined };
        if (isFile) await upload(collection, file.files[0], options, progress);
        else await api.put(`${path("collections", collection)}/snapshots/recover`, { location: location.value, ...options });
        dialog.close();
        toast(`Recovered ${collection}`);
      });
    },
  });
}

/** With progress, which fetch does not tell of uploads. @param {string} collection @param {File} file @param {Record<string, string | undefined>} query @param {any} progress */
function upload(collection, file, query, progress) {
  return new Promise((/** @type {(value: void) => void} */ resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address(`${path("collections", collection)}/snapshots/upload`, query));
    for (const [name, value] of Object.entries(credentials())) request.setRequestHeader(name, value);
    progress.hidden = false;
    request.upload.onprogress = ({ loaded, total }) => {
      progress.setAttribute("aria-valuenow", String(Math.round((loaded / total) * 100)));
      progress.firstElementChild.style.setProperty("width", `${(loaded / total) * 100}%`);
    };
    request.onerror = () => reject(new Error("The file could not be sent."));
    request.onload = () => resultOf(new Response(request.responseText, { status: request.status })).then(() => resolve(), reject);
    const form = new FormData();
    form.append("snapshot", file);
    request.send(form);
  });
}

/** @param {import("../pages/collection.js").Tab} tab */
export function show({ root, signal, name }) {
  fill(root, snapshotCard(name, signal).element);
}
