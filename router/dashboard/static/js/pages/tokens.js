/** Access tokens, signed in the browser with the node's API key, which is sent nowhere for that. */

import { api } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { stringify } from "../core/json.js";
import { apiKey } from "../core/session.js";
import { grantForm } from "../tokens/form.js";
import { claimsOf, problemOf, sign } from "../tokens/jwt.js";
import { copyButton } from "../ui/buttons.js";
import { field, input } from "../ui/fields.js";
import { card } from "../ui/parts.js";
import { empty } from "../ui/states.js";

/** @param {import("../main.js").View} view */
export async function show({ root, signal, title }) {
  title("Access tokens");
  const [listed, told] = await Promise.allSettled([api.get("/collections", { signal }), api.get("/telemetry", { signal })]);
  const app = told.status === "fulfilled" ? told.value.app : {};
  const heading = h("div.page-head", {}, h("h1", { tabindex: "-1" }, "Access tokens"));
  if (app.hide_jwt_dashboard) {
    fill(root, heading, h("div.card", {}, empty("Switched off", "This node's operator hides this page (service.hide_jwt_dashboard).", { icon: "token" })));
    return;
  }
  const names = listed.status === "fulfilled" ? listed.value.collections.map((/** @type {{name: string}} */ each) => each.name).sort() : [];
  fill(root, heading, !app.jwt_rbac && h("p.notice.warn", {}, "This node does not accept tokens: its service.jwt_rbac is off, or it has no API key."),
    tokenMaker(names));
}

/** @param {string[]} collections */
function tokenMaker(collections) {
  const key = input({ type: "password", autocomplete: "off", value: apiKey() ?? "", spellcheck: "false" });
  const claims = h("pre.code");
  const token = h("output.token.mono", { "aria-label": "Access token" });
  const problem = h("p.field-error", { role: "status" });
  let turn = 0;
  const draw = async () => {
    turn += 1;
    const mine = turn;
    const grant = form.grant();
    const body = claimsOf(grant);
    fill(claims, stringify(body, 2));
    const wrong = missing(key.value) ?? problemOf(grant);
    problem.textContent = wrong ?? "";
    const text = wrong === null ? await sign(body, key.value) : "";
    if (mine === turn) token.textContent = text;
  };
  const form = grantForm(collections, () => queueMicrotask(draw));
  key.addEventListener("input", draw);
  draw();
  return h("div.columns", {},
    card("What it allows", h("div.card-body.form", {}, field("API key that signs it", key, "Stays in this page. Whoever has it can make tokens; the node checks them with it."), form.element)),
    h("div.stack", {}, card("The token", h("div.card-body.stack.tight", {}, problem, token), copyButton(() => token.textContent ?? "", "Copy the token")),
      card("Its claims", h("div.card-body", {}, claims))));
}

/** @param {string} key */
function missing(key) {
  if (!globalThis.crypto?.subtle) return "The browser offers cryptography to pages from https:// or this computer only; open the dashboard there.";
  return key ? null : "Give the API key that signs it.";
}
