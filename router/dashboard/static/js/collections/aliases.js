/** A collection's other names. */

import { api, path } from "../core/api.js";
import { h } from "../core/dom.js";
import { button, iconButton, whileBusy } from "../ui/buttons.js";
import { confirmed } from "../ui/dialog.js";
import { input } from "../ui/fields.js";
import { card } from "../ui/parts.js";
import { load } from "../ui/states.js";
import { failed, toast } from "../ui/toast.js";

/** @param {string} name @param {AbortSignal} signal */
export function aliasCard(name, signal) {
  const list = h("div.card-body");
  const alias = input({ "aria-label": "New alias", placeholder: "New alias", autocomplete: "off", spellcheck: "false" });
  const refresh = (quiet = false) => load(list, signal, () => api.get(`${path("collections", name)}/aliases`, { signal }),
    ({ aliases }) => (aliases.length
      ? h("ul.stack.tight", {}, aliases.map((/** @type {{alias_name: string}} */ each) => line(each.alias_name, refresh)))
      : h("p.hint", {}, "No other names. An alias can be moved to another collection in one step.")), { lines: 1, quiet });
  const add = button("Add", () => {}, { kind: "small" });
  add.type = "submit";
  const submitted = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!alias.value) return;
    whileBusy(add, async () => {
      await change({ create_alias: { collection_name: name, alias_name: alias.value } });
      toast(`${alias.value} now means ${name}`);
      alias.value = "";
      await refresh(true);
    });
  };
  refresh();
  return card("Aliases", [list, h("form.pager", { on: { submit: submitted } }, alias, add)]);
}

/** @param {string} alias @param {(quiet: boolean) => Promise<void>} refresh */
function line(alias, refresh) {
  const remove = async () => {
    const agreed = await confirmed({ title: "Remove alias", text: `Requests to ${alias} will fail.`, action: "Remove", danger: true });
    if (!agreed) return;
    try {
      await change({ delete_alias: { alias_name: alias } });
      await refresh(true);
    } catch (error) {
      failed(error);
    }
  };
  return h("li.line", {}, h("span", {}, alias), iconButton("trash", `Remove alias ${alias}`, remove, "quiet small"));
}

/** @param {Record<string, any>} action */
function change(action) {
  return api.post("/collections/aliases", { actions: [action] });
}
