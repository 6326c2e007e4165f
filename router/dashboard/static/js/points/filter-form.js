/** The form of a filter: conditions one below the other, or the API's JSON. */

import { fill, h } from "../core/dom.js";
import { parse, stringify } from "../core/json.js";
import { button, iconButton } from "../ui/buttons.js";
import { fieldError, input, select } from "../ui/fields.js";
import { filterOf, OPERATORS, standsAlone } from "./filter.js";

/**
 * @param {string[]} keys known fields
 * @param {any} start a filter to begin with, as JSON
 */
export function filterForm(keys, start) {
  /** @type {ReturnType<typeof conditionRow>[]} */
  let rows = [];
  const list = h("div.stack.tight");
  const text = h("textarea.input.mono", { rows: 6, spellcheck: "false", "aria-label": "Filter as JSON" });
  const choices = h("datalist", { id: "payload-keys" }, keys.map((key) => h("option", { value: key })));
  const json = h("div.field", { hidden: true }, text);
  const add = () => {
    const row = conditionRow(() => {
      rows = rows.filter((each) => each !== row);
      row.element.remove();
    });
    rows.push(row);
    list.append(row.element);
    return row;
  };
  const written = () => filterOf(rows.map((each) => each.condition()));
  const more = button("Add condition", () => add().focus(), { kind: "small", icon: "plus" });
  const asJson = () => {
    const shows = json.hidden;
    if (shows) text.value = stringify(written() ?? { must: [] }, 2);
    show(shows);
  };
  const toggle = button("As JSON", asJson, { kind: "small quiet" });
  const show = (/** @type {boolean} */ isJson) => {
    json.hidden = !isJson;
    list.hidden = isJson;
    more.hidden = isJson;
    toggle.textContent = isJson ? "As conditions" : "As JSON";
  };
  const element = h("div.stack.tight", {}, choices, list, json, h("div.toolbar", {}, more, toggle));
  if (start) {
    text.value = stringify(start, 2);
    show(true);
  }
  return {
    element,
    add,
    /** The filter; undefined: none. Null if what was written is not JSON, which is then shown. @returns {any} */
    read() {
      fieldError(text, null);
      if (json.hidden) return written();
      if (!text.value.trim()) return undefined;
      try {
        return parse(text.value);
      } catch (error) {
        fieldError(text, error instanceof Error ? error.message : String(error));
        text.focus();
        return null;
      }
    },
    clear() {
      rows = [];
      fill(list);
      text.value = "";
      show(false);
    },
  };
}

/** @param {() => void} remove */
function conditionRow(remove) {
  const key = input({ list: "payload-keys", "aria-label": "Field", placeholder: "field", spellcheck: "false" });
  const operator = select(OPERATORS, { "aria-label": "Comparison" });
  const value = input({ "aria-label": "Value", placeholder: "value", spellcheck: "false" });
  operator.addEventListener("input", () => {
    value.hidden = standsAlone(operator.value);
  });
  return {
    element: h("div.condition", {}, key, operator, value, iconButton("close", "Remove condition", remove, "quiet")),
    focus: () => key.focus(),
    condition: () => ({ key: key.value.trim(), operator: operator.value, value: value.value }),
  };
}

