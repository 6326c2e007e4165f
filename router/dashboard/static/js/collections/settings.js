/** A collection's configuration, and changes of it as the API takes them. */

import { api, path } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { parse, stringify } from "../core/json.js";
import { button, copyButton, whileBusy } from "../ui/buttons.js";
import { openDialog } from "../ui/dialog.js";
import { field, fieldError } from "../ui/fields.js";
import { jsonView } from "../ui/json-view.js";
import { card } from "../ui/parts.js";
import { load } from "../ui/states.js";
import { toast } from "../ui/toast.js";

/** @param {import("../pages/collection.js").Tab} tab */
export async function show({ root, signal, name }) {
  const place = h("div.card-body");
  /** @type {any} */
  let config = {};
  const refresh = (quiet = false) => load(place, signal, () => api.get(path("collections", name), { signal, exact: true }), (info) => {
    config = info.config;
    return jsonView(config, 4);
  }, { quiet, lines: 12 });
  fill(root, card("Configuration", place, copyButton(() => stringify(config, 2), "Copy the configuration"),
    button("Change", () => change(name, config, () => refresh(true)), { kind: "small", icon: "edit" })));
  await refresh();
}

/** @param {string} name @param {any} config @param {() => void} done */
function change(name, config, done) {
  const start = { hnsw_config: config.hnsw_config, optimizers_config: config.optimizer_config };
  const text = h("textarea.input.mono", { rows: 16, spellcheck: "false" });
  text.value = stringify(start, 2);
  const apply = button("Apply", () => {}, { kind: "primary" });
  apply.type = "submit";
  const dialog = openDialog("Change the configuration",
    h("div.form", {}, field("What to change", text, "The body of PATCH /collections/…; what is left out stays as it is.")), {
      wide: true,
      foot: (close) => [button("Cancel", close), apply],
      submit: () => {
        let body;
        try {
          body = parse(text.value);
          fieldError(text, null);
        } catch (error) {
          fieldError(text, error instanceof Error ? error.message : String(error));
          return;
        }
        whileBusy(apply, async () => {
          await api.patch(path("collections", name), body);
          dialog.close();
          toast("Changed; the optimizers follow in the background");
          done();
        });
      },
    });
}
