/** How much of memory and disk each node uses, and the quotas beyond which it takes no more data. */

import { api } from "../core/api.js";
import { h } from "../core/dom.js";
import { button, whileBusy } from "../ui/buttons.js";
import { openDialog } from "../ui/dialog.js";
import { checkbox, field, fieldError, input } from "../ui/fields.js";
import { badge, card, row, table } from "../ui/parts.js";
import { load } from "../ui/states.js";
import { toast } from "../ui/toast.js";
import { percentProblem, usageByPeer } from "./usage.js";

/** @typedef {import("./usage.js").Config} Config */

/** @param {AbortSignal} signal */
export function quotaCard(signal) {
  const body = h("div");
  /** @type {Config | null} */
  let config = null;
  const refresh = (quiet = true) => load(body, signal, () => api.get("/quotas", { signal }), (status) => {
    config = status.config;
    change.disabled = false;
    return draw(status);
  }, { quiet, lines: 3 });
  const change = button("Change quotas", () => config && edit(config, refresh), { kind: "small", disabled: true });
  return { element: card("Memory and disk", body, change), refresh };
}

/** @param {any} status of /quotas */
function draw(status) {
  const { config } = status;
  const rows = usageByPeer(status).map(({ peer, memory, disk, exceeded }) => row(peer === null ? "This node" : h("span.id", {}, peer),
    meter("Memory", memory, config.enabled ? config.max_resident_memory_percent : null),
    meter("Disk", disk, config.enabled ? config.max_disk_usage_percent : null),
    exceeded ? badge("takes no more data", "bad") : badge("takes data", "good")));
  return [
    h("p.card-body", {}, told(config)),
    table("Memory and disk", ["Node", "Memory", "Disk", "State"], rows),
  ];
}

/** @param {Config} config */
function told({ enabled, max_resident_memory_percent: memory, max_disk_usage_percent: disk, release_margin_percent: margin }) {
  const limits = [memory !== null && `${memory} % of memory`, disk !== null && `${disk} % of disk`].filter(Boolean);
  if (!enabled || !limits.length) return "No quota is set: a node takes data until its memory or disk is full.";
  return `A node that uses ${limits.join(" or ")} takes no more data until it is ${margin} % below that; reading and deleting go on.`;
}

/** @param {string} what @param {number | null} used @param {number | null} limit */
function meter(what, used, limit) {
  if (used === null) return h("span.hint", {}, "unknown");
  const kind = limit !== null && used >= limit ? ".bad" : "";
  return [h("span", {}, `${used} %`), limit !== null && h("span.hint", {}, ` of ${limit} %`),
    h(`div.meter${kind}`, { role: "meter", "aria-label": what, "aria-valuenow": used, "aria-valuemin": 0, "aria-valuemax": 100 },
      h("span", { style: { width: `${used}%` } }))];
}

/** @param {Config} config @param {() => void} refresh */
function edit(config, refresh) {
  const percent = (/** @type {number | null} */ value, /** @type {number} */ min, /** @type {string} */ placeholder) =>
    input({ type: "number", min, max: 100, value: value ?? "", placeholder });
  const enabled = checkbox("Keep to quotas", { checked: config.enabled });
  const memory = percent(config.max_resident_memory_percent, 1, "no limit");
  const disk = percent(config.max_disk_usage_percent, 1, "no limit");
  const margin = percent(config.release_margin_percent, 0, "5");
  const act = button("Save", () => {}, { kind: "primary" });
  act.type = "submit";
  const dialog = openDialog("Quotas of every node", h("div.form", {}, enabled.element,
    h("div.form-row", {}, field("Memory, in percent", memory), field("Disk, in percent", disk),
      field("Margin, in percent", margin, "So far below its limit it takes data again")),
    h("p.hint", {}, "They count for all members of the cluster, at once.")), {
    foot: (close) => [button("Cancel", close), act],
    submit: () => {
      /** @type {[any, number][]} */
      const fields = [[memory, 1], [disk, 1], [margin, 0]];
      const problems = fields.map(([box, least]) => {
        const problem = box.validity.badInput ? "A whole number." : percentProblem(box.value, least);
        fieldError(box, problem);
        return problem;
      });
      if (problems.some(Boolean)) return;
      whileBusy(act, async () => {
        await api.put("/quotas", { enabled: enabled.box.checked, max_resident_memory_percent: whole(memory),
          max_disk_usage_percent: whole(disk), release_margin_percent: whole(margin) }, { query: { wait: true } });
        dialog.close();
        toast("Saved the quotas");
        refresh();
      });
    },
  });
}

/** @param {HTMLInputElement} box */
function whole(box) {
  return box.value === "" ? undefined : Number(box.value);
}
