/** The form of an access token: what it allows, to whom, until when. */

import { h } from "../core/dom.js";
import { button, iconButton } from "../ui/buttons.js";
import { checkbox, field, input, select } from "../ui/fields.js";

const LEVELS = /** @type {[string, string][]} */ ([
  ["collections", "Some collections"], ["read", "Read everything"], ["manage", "Manage everything"],
]);
const ACCESS = /** @type {[string, string][]} */ ([["r", "Read"], ["rw", "Read and write"], ["prw", "Read and write points only"]]);
const LIFETIMES = /** @type {[string, string][]} */ ([["3600", "An hour"], ["86400", "A day"], ["2592000", "30 days"], ["31536000", "A year"], ["", "Never"]]);

/** @param {string[]} collections known ones @param {() => void} changed */
export function grantForm(collections, changed) {
  const level = select(LEVELS);
  const lifetime = select(LIFETIMES, { value: "86400" });
  const subject = input({ placeholder: "who it is for", spellcheck: "false" });
  const id = input({ placeholder: "optional", spellcheck: "false" });
  /** @type {ReturnType<typeof entryForm>[]} */
  let entries = [];
  const list = h("div.stack.tight");
  const add = () => {
    const entry = entryForm(() => {
      entries = entries.filter((each) => each !== entry);
      entry.element.remove();
      changed();
    });
    entries.push(entry);
    list.append(entry.element);
    changed();
    return entry;
  };
  const some = h("fieldset.group", {}, h("legend", {}, "Collections"), h("datalist", { id: "token-collections" }, collections.map((name) => h("option", { value: name }))),
    list, h("div", {}, button("Add collection", () => add().focus(), { kind: "small", icon: "plus" })));
  const exists = existsForm();
  const element = h("div.form", {},
    h("div.form-row", {}, field("Allows", level), field("Expires in", lifetime), field("Subject", subject, "Shown in the audit log"), field("Id", id, "By which it can be revoked")),
    some, exists.element);
  element.addEventListener("input", () => {
    some.hidden = level.value !== "collections";
    changed();
  });
  add();
  return {
    element,
    /** @returns {import("./jwt.js").Grant} */
    grant: () => ({
      level: level.value, entries: entries.map((each) => each.entry()), subject: subject.value.trim(), id: id.value.trim(),
      expires: lifetime.value ? Math.floor(Date.now() / 1000) + Number(lifetime.value) : null, exists: exists.read(),
    }),
  };
}

/** @param {() => void} remove */
function entryForm(remove) {
  const collection = input({ list: "token-collections", "aria-label": "Collection", placeholder: "collection", spellcheck: "false" });
  const access = select(ACCESS, { "aria-label": "Access" });
  const key = input({ "aria-label": "Tenant field", placeholder: "tenant field", spellcheck: "false" });
  const value = input({ "aria-label": "Tenant value", placeholder: "tenant value", spellcheck: "false" });
  const tenant = checkbox("One tenant's points only");
  const which = h("div.form-row", { hidden: true }, key, value);
  tenant.box.addEventListener("input", () => {
    which.hidden = !tenant.box.checked;
  });
  return {
    element: h("div.token-entry", {}, h("div.condition", {}, collection, access, tenant.element, iconButton("close", "Remove collection", remove, "quiet")), which),
    focus: () => collection.focus(),
    entry: () => ({ collection: collection.value.trim(), access: access.value,
      tenant: tenant.box.checked ? [{ key: key.value.trim(), value: value.value.trim() }] : [] }),
  };
}

/** A token may be void once a point is gone: how users are locked out without a new key. */
function existsForm() {
  const collection = input({ list: "token-collections", spellcheck: "false" });
  const key = input({ spellcheck: "false" });
  const value = input({ spellcheck: "false" });
  return {
    element: h("details", {}, h("summary", {}, "Only while a point exists"), h("div.stack.indented", {},
      h("p.hint", {}, "Every use looks for a point with this value; once it is deleted, the token is void."),
      h("div.form-row", {}, field("In collection", collection), field("Field", key), field("Value", value)))),
    read: () => (collection.value.trim() && key.value.trim()
      ? { collection: collection.value.trim(), key: key.value.trim(), value: value.value.trim() } : null),
  };
}
