/** Asking for the API key; it stays in this tab and is sent to this node alone. */

import { h } from "../core/dom.js";
import { apiKey, keepApiKey } from "../core/session.js";
import { button } from "./buttons.js";
import { openDialog } from "./dialog.js";
import { field, input } from "./fields.js";

/** @type {Promise<boolean> | null} one dialog for all requests that wait for a key */
let asking = null;

/** @param {string} refused what the node said @returns {Promise<boolean>} is there another key now? */
export function askForKey(refused) {
  asking ??= ask(apiKey() ? `The node refused the key: ${refused}` : "This node asks for an API key or an access token.")
    .finally(() => {
      asking = null;
    });
  return asking;
}

/** Change the key, or forget it. */
export async function editKey() {
  if (await ask("Sent with every request of this tab, and forgotten when it is closed.")) location.reload();
}

/** @param {string} text */
async function ask(text) {
  const before = apiKey();
  const key = input({ type: "password", autocomplete: "off", value: before ?? "", spellcheck: "false" });
  const forget = (/** @type {() => void} */ close) => button("Forget it", () => {
    key.value = "";
    keepApiKey(null);
    close();
  }, { kind: "danger" });
  const use = button("Use this key", () => {}, { kind: "primary" });
  use.type = "submit";
  const dialog = openDialog("API key", h("div.form", {}, h("p", {}, text), field("API key or access token", key)), {
    foot: (close) => [...(before ? [forget(close)] : []), use],
    submit: () => {
      keepApiKey(key.value.trim() || null);
      dialog.close();
    },
  });
  key.focus();
  await dialog.closed;
  return apiKey() !== before;
}
