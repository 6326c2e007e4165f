/** One point as a list shows it: id, score, payload, and what can be done with it. */

import { api, path } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { score } from "../core/format.js";
import { parse, stringify } from "../core/json.js";
import { link } from "../core/route.js";
import { button, copyButton, iconButton, whileBusy } from "../ui/buttons.js";
import { confirmed, openDialog } from "../ui/dialog.js";
import { field, fieldError } from "../ui/fields.js";
import { jsonView } from "../ui/json-view.js";
import { failed, toast } from "../ui/toast.js";

/** @typedef {{id: any, payload?: any, score?: any, shard_key?: any}} Point */

/**
 * @param {string} collection @param {Point} point
 * @param {{using?: string, removed?: () => void}} [options] `using`: the vector that "similar" compares
 */
export function pointCard(collection, point, { using, removed } = {}) {
  const id = String(point.id);
  const payload = h("div.point-payload");
  const vectors = h("div.point-payload", { hidden: true });
  const draw = () => fill(payload, Object.keys(point.payload ?? {}).length ? jsonView(point.payload, 1) : h("p.hint", {}, "No payload"));
  draw();
  const element = h("article.point", { "aria-label": `Point ${id}` },
    h("header.point-head", {}, h("h3.mono", {}, id), copyButton(() => id, "Copy the id"),
      point.score !== undefined && h("span.badge.plain", { title: "Score" }, score(Number(point.score))),
      point.shard_key !== undefined && h("span.chip", { title: "Shard key" }, String(point.shard_key)),
      h("span.point-tools", {},
        h("a.button.small", { href: link(["collections", collection, "points"], { like: id, using }) }, "Similar"),
        button("Vectors", () => showVectors(collection, point, vectors), { kind: "small quiet" }),
        iconButton("edit", `Edit the payload of ${id}`, () => edit(collection, point, draw), "quiet small"),
        iconButton("trash", `Delete point ${id}`, () => remove(collection, point, () => {
          element.remove();
          removed?.();
        }), "quiet small"))),
    payload, vectors);
  return element;
}

/** @param {string} collection @param {Point} point @param {any} place */
async function showVectors(collection, point, place) {
  place.hidden = !place.hidden;
  if (place.hidden || place.childElementCount) return;
  try {
    const found = await api.post(`${path("collections", collection)}/points`, { ids: [point.id], with_vector: true, with_payload: false });
    fill(place, jsonView(found[0]?.vector ?? null, 1));
  } catch (error) {
    failed(error);
  }
}

/** @param {string} collection @param {Point} point @param {() => void} changed */
function edit(collection, point, changed) {
  const text = h("textarea.input.mono", { rows: 18, spellcheck: "false" });
  text.value = stringify(point.payload ?? {}, 2);
  const save = button("Save", () => {}, { kind: "primary" });
  save.type = "submit";
  const dialog = openDialog(`Payload of ${point.id}`, h("div.form", {}, field("Payload, as JSON", text)), {
    wide: true,
    foot: (close) => [button("Cancel", close), save],
    submit: () => {
      const payload = read(text);
      if (payload === null) return;
      whileBusy(save, async () => {
        await api.put(`${path("collections", collection)}/points/payload`, { payload, points: [point.id] }, { query: { wait: true } });
        point.payload = payload;
        changed();
        dialog.close();
        toast(`Saved the payload of ${point.id}`);
      });
    },
  });
}

/** The object that was written; null if it is none, which is then told. @param {any} text */
function read(text) {
  try {
    const payload = parse(text.value);
    const isObject = payload !== null && typeof payload === "object" && payload.constructor === Object;
    fieldError(text, isObject ? null : "A payload is an object: {…}");
    return isObject ? payload : null;
  } catch (error) {
    fieldError(text, error instanceof Error ? error.message : String(error));
    return null;
  }
}

/** @param {string} collection @param {Point} point @param {() => void} done */
async function remove(collection, point, done) {
  const agreed = await confirmed({ title: "Delete point", text: `Point ${point.id} and its vectors go for good.`, action: "Delete", danger: true });
  if (!agreed) return;
  try {
    await api.post(`${path("collections", collection)}/points/delete`, { points: [point.id] }, { query: { wait: true } });
    done();
    toast(`Deleted point ${point.id}`);
  } catch (error) {
    failed(error);
  }
}
