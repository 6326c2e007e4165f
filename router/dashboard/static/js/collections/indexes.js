/** Payload indexes: which fields have one, making and dropping them. */

import { api, path } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { count } from "../core/format.js";
import { button, iconButton, whileBusy } from "../ui/buttons.js";
import { confirmed, openDialog } from "../ui/dialog.js";
import { checkbox, field, fieldError, input, select } from "../ui/fields.js";
import { actionsCell, card, numberCell, row, table } from "../ui/parts.js";
import { empty, load } from "../ui/states.js";
import { failed, toast } from "../ui/toast.js";

const TYPES = ["keyword", "integer", "float", "bool", "datetime", "uuid", "geo", "text"];

/** @param {import("../pages/collection.js").Tab} tab */
export async function show({ root, signal, name }) {
  const list = h("div");
  const refresh = (quiet = false) => load(list, signal, () => api.get(path("collections", name), { signal }),
    (info) => draw(name, info.payload_schema, refresh), { quiet });
  const add = () => addIndex(name, () => refresh(true));
  fill(root, card("Payload indexes", list, button("Add index", add, { kind: "small", icon: "plus" })));
  await refresh();
}

/** @param {string} name @param {Record<string, any>} schema @param {(quiet: boolean) => Promise<void>} refresh */
function draw(name, schema, refresh) {
  const fields = Object.entries(schema).sort(([a], [b]) => a.localeCompare(b));
  if (!fields.length) {
    return empty("No payload indexes", "Filters on a field with an index are answered without reading payloads; facets, ranges in order and tenants need one.");
  }
  return table("Payload indexes", ["Field", "Type", "Parameters", "#Points with a value", "!Actions"], fields.map(([key, index]) => row(
    h("code", {}, key), index.data_type, h("span.chips", {}, parameters(index.params).map((text) => h("span.chip", {}, text))), numberCell(count(index.points)),
    actionsCell(iconButton("trash", `Drop the index of ${key}`, () => drop(name, key, refresh), "quiet small")))));
}

/** @param {Record<string, any> | undefined} params */
function parameters(params) {
  return Object.entries(params ?? {}).filter(([key, value]) => key !== "type" && value !== null)
    .map(([key, value]) => (value === true ? key : `${key}: ${typeof value === "object" ? JSON.stringify(value) : value}`));
}

/** @param {string} name @param {string} key @param {(quiet: boolean) => Promise<void>} refresh */
async function drop(name, key, refresh) {
  const agreed = await confirmed({ title: "Drop index", danger: true, action: "Drop",
    text: `Filters on ${key} will read payloads instead; what needs an index will be refused.` });
  if (!agreed) return;
  try {
    await api.delete(`${path("collections", name)}/index/${encodeURIComponent(key)}`, undefined, { query: { wait: true } });
    await refresh(true);
  } catch (error) {
    failed(error);
  }
}

/** @param {string} name @param {() => void} done */
function addIndex(name, done) {
  const key = input({ autocomplete: "off", spellcheck: "false", placeholder: "city.name" });
  const type = select(TYPES);
  const onDisk = checkbox("Keep on disk");
  const tenant = checkbox("Names the tenant (is_tenant)");
  const switched = () => {
    tenant.element.hidden = !["keyword", "uuid"].includes(type.value);
  };
  type.addEventListener("input", switched);
  switched();
  const create = button("Create index", () => {}, { kind: "primary" });
  create.type = "submit";
  const dialog = openDialog("Add payload index", h("div.form", {}, field("Field", key, "A path, as in city.name or tags[]"), field("Type", type),
    h("div.toolbar", {}, onDisk.element, tenant.element)), {
    foot: (close) => [button("Cancel", close), create],
    submit: () => {
      fieldError(key, key.value ? null : "Which field?");
      if (!key.value) return;
      const extras = { ...(onDisk.box.checked && { on_disk: true }), ...(!tenant.element.hidden && tenant.box.checked && { is_tenant: true }) };
      const schema = Object.keys(extras).length ? { type: type.value, ...extras } : type.value;
      whileBusy(create, async () => {
        await api.put(`${path("collections", name)}/index`, { field_name: key.value, field_schema: schema }, { query: { wait: true } });
        dialog.close();
        toast(`${key.value} is indexed`);
        done();
      });
    },
  });
}
