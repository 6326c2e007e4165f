/** A collection's vectors as a map: what is alike lies together. */

import { api, path } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { count, plural, shortened } from "../core/format.js";
import { parse, stringify } from "../core/json.js";
import { isDark } from "../core/theme.js";
import { colouring, coloursOf, OTHER } from "../map/colours.js";
import { Plot } from "../map/plot.js";
import { valueAt } from "../map/records.js";
import { layOut } from "../map/sample.js";
import { filterForm } from "../points/filter-form.js";
import { pointCard } from "../points/point.js";
import { button, iconButton } from "../ui/buttons.js";
import { field, input, select } from "../ui/fields.js";
import { empty, failure } from "../ui/states.js";
import { failed } from "../ui/toast.js";
import { vectorNames } from "./config.js";

const SAMPLES = ["300", "1000", "2000", "5000"];
const PREFERRED = ["category", "type", "kind", "class", "label"];

/** @param {import("../pages/collection.js").Tab} tab */
export async function show({ root, signal, name }) {
  const info = await api.get(path("collections", name), { signal });
  if (!info.points_count) {
    fill(root, h("div.card", {}, empty("Nothing to draw", "This collection has no points yet.", { icon: "map" })));
    return;
  }
  new MapPage(root, signal, name, info).start();
}

class MapPage {
  /** @param {HTMLElement} root @param {AbortSignal} signal @param {string} name @param {any} info */
  constructor(root, signal, name, info) {
    this.root = root;
    this.signal = signal;
    this.name = name;
    this.vectors = vectorNames(info.config.params);
    this.keys = Object.keys(info.payload_schema);
    /** @type {string[]} */
    this.ids = [];
    /** @type {import("../map/colours.js").Colouring} */
    this.colouring = colouring([]);
    /** @type {any[]} */
    this.values = [];
    this.hidden = new Set();
    this.running = new AbortController();
    this.plot = new Plot({ hovered: (index, x, y) => this.hovered(index, x, y), chosen: (index) => this.chosen(index) });
    this.controls = this.makeControls();
    this.status = h("p.hint", { role: "status" });
    this.tip = h("div.tip", { hidden: true });
    this.legend = h("div.legend");
    this.overlay = h("div.plot-overlay", { hidden: true });
    this.details = h("div.map-details", { "aria-live": "polite" });
  }

  makeControls() {
    const names = [...this.vectors.dense, ...this.vectors.sparse].map(([name]) => name);
    const colour = input({ list: "colour-keys", spellcheck: "false", placeholder: "a payload field",
      value: PREFERRED.find((key) => this.keys.includes(key)) ?? this.keys[0] ?? "" });
    return {
      using: select(names.map((each) => [each, each || "(unnamed)"])),
      method: select([["pca", "PCA"], ["neighbours", "Neighbours (UMAP)"]]),
      sample: select(SAMPLES, { value: "1000" }),
      colour,
      filter: filterForm(this.keys, undefined),
    };
  }

  start() {
    const { using, method, sample, colour, filter } = this.controls;
    const draw = button("Draw", () => this.layOut(), { kind: "primary", icon: "map" });
    fill(this.root,
      h("section.card", {}, h("div.card-body.form", {},
        h("div.form-row", {}, field("Layout", method), field("Vector", using), field("Points at most", sample), field("Colour by", colour)),
        h("datalist", { id: "colour-keys" }, this.keys.map((key) => h("option", { value: key }))),
        h("div.toolbar.between", {}, filter.element, draw))),
      h("div.map-layout", {},
        h("section.card.map-card", { "aria-label": "Map" },
          h("div.card-head", {}, this.status, h("span.point-tools", {},
            iconButton("minus", "Zoom out", () => this.plot.zoom(1 / 1.5)), iconButton("plus", "Zoom in", () => this.plot.zoom(1.5)),
            iconButton("fit", "Show all", () => this.plot.fit()))),
          h("div.plot-box", {}, this.plot.canvas, this.overlay, this.tip), this.legend),
        this.details));
    this.plot.follow(this.signal);
    addEventListener("themechange", () => this.paintColours(), { signal: this.signal });
    this.signal.addEventListener("abort", () => this.running.abort());
    colour.addEventListener("change", () => this.colour());
    for (const control of [method, using, sample]) control.addEventListener("change", () => this.layOut());
    this.chosen(-1);
    this.layOut();
  }

  async layOut() {
    const filter = this.controls.filter.read();
    if (filter === null) return;
    this.running.abort();
    this.running = new AbortController();
    const { signal } = this.running;
    const using = this.controls.using.value;
    const isSparse = this.vectors.sparse.some(([name]) => name === using);
    const method = isSparse ? "neighbours" : this.controls.method.value;
    this.busy(true);
    this.say("Fetching vectors…");
    this.overlay.hidden = true;
    try {
      let isFirst = true;
      await layOut({ name: this.name, using, isSparse, method, sample: Number(this.controls.sample.value), filter }, signal, (layout) => {
        if (signal.aborted) return;
        if (layout.share < 1 && matchMedia("(prefers-reduced-motion: reduce)").matches) return;
        this.arrived(layout, isFirst);
        isFirst = false;
      });
    } catch (error) {
      if (signal.aborted) return;
      this.busy(false);
      this.say("");
      this.overlay.hidden = false;
      fill(this.overlay, failure(error, () => this.layOut()));
    }
  }

  /** @param {import("../map/sample.js").Layout} layout @param {boolean} isFirst */
  arrived({ ids, places, share }, isFirst) {
    this.ids = ids;
    if (isFirst) {
      this.plot.setLook({ groups: new Int16Array(0) });
      this.plot.fit();
      this.colour();
    }
    this.plot.setPlaces(places);
    this.say(share < 1 ? `Arranging ${plural(ids.length, "point")}, ${Math.round(share * 100)} %` : plural(ids.length, "point"));
    this.busy(share < 1);
    if (!ids.length) {
      this.overlay.hidden = false;
      fill(this.overlay, empty("Nothing to draw", "No point has this vector and meets the filter.", { icon: "map" }));
    }
  }

  /** Fetch the values that colours stand for. */
  async colour() {
    const key = this.controls.colour.value.trim();
    const { ids } = this;
    /** @type {any[]} */
    let values = ids.map(() => undefined);
    if (key && ids.length) {
      try {
        const found = await api.post(`${path("collections", this.name)}/points`,
          { ids: ids.map(idOf), with_payload: [key], with_vector: false }, { signal: this.running.signal, exact: true });
        const byId = new Map(found.map((/** @type {any} */ each) => [String(each.id), valueAt(each.payload ?? {}, key)]));
        values = ids.map((id) => byId.get(id));
      } catch (error) {
        if (this.running.signal.aborted) return;
        failed(error);
      }
    }
    if (ids !== this.ids && ids.join() !== this.ids.join()) return;
    this.values = values;
    this.colouring = colouring(values);
    this.hidden.clear();
    this.paintColours();
  }

  paintColours() {
    const theme = isDark() ? "dark" : "light";
    const colours = coloursOf(this.colouring, theme);
    this.plot.setLook({ groups: this.colouring.groups, colours, other: OTHER[theme], ink: isDark() ? "#ffffff" : "#14181d", hidden: this.hidden });
    fill(this.legend, this.colouring.scale ? scaleLegend(this.colouring.scale, colours) : this.groupLegend(colours, OTHER[theme]));
  }

  /** @param {string[]} colours @param {string} other */
  groupLegend(colours, other) {
    const rest = this.colouring.groups.reduce((sum, group) => sum + (group < 0 ? 1 : 0), 0);
    const entries = this.colouring.labels.map(({ label, count: held }, group) => ({ label, held, group, colour: colours[group] }));
    if (rest && entries.length) entries.push({ label: "others", held: rest, group: -1, colour: other });
    return entries.map(({ label, held, group, colour }) => {
      const toggle = () => {
        if (!this.hidden.delete(group)) this.hidden.add(group);
        entry.setAttribute("aria-pressed", String(!this.hidden.has(group)));
        this.plot.draw();
      };
      const entry = h("button.legend-entry", { type: "button", "aria-pressed": "true", title: "Show or hide", on: { click: toggle } },
        h("span.dot", { style: { background: colour } }), shortened(label, 32), " ", h("span.hint", {}, count(held)));
      return entry;
    });
  }

  /** @param {number} index @param {number} x @param {number} y */
  hovered(index, x, y) {
    this.tip.hidden = index < 0;
    if (index < 0) return;
    const value = this.values[index];
    fill(this.tip, h("strong.mono", {}, this.ids[index]), value !== undefined && h("div", {}, shortened(String(value), 60)));
    const { width } = this.plot.canvas.getBoundingClientRect();
    this.tip.style.setProperty("left", `${Math.min(x + 14, width - 170)}px`);
    this.tip.style.setProperty("top", `${y + 14}px`);
  }

  /** @param {number} index */
  async chosen(index) {
    if (index < 0) {
      fill(this.details, h("div.card", {}, empty("No point chosen", "Choose one on the map to see its payload.", { icon: "search" })));
      return;
    }
    try {
      const id = idOf(this.ids[index]);
      const [point] = await api.post(`${path("collections", this.name)}/points`, { ids: [id], with_payload: true }, { signal: this.signal, exact: true });
      fill(this.details, point ? pointCard(this.name, point, { using: this.controls.using.value || undefined })
        : h("div.card", {}, empty("Gone", "This point was deleted meanwhile.")));
    } catch (error) {
      failed(error);
    }
  }

  /** @param {boolean} isBusy */
  busy(isBusy) {
    this.root.querySelector(".map-card")?.setAttribute("aria-busy", String(isBusy));
  }

  /** @param {string} text */
  say(text) {
    this.status.textContent = text;
  }
}

/** @param {string} text */
function idOf(text) {
  return /^\d+$/.test(text) ? parse(text) : text;
}

/** @param {{low: number, high: number}} scale @param {string[]} colours */
function scaleLegend({ low, high }, colours) {
  return h("div.legend-scale", {}, h("span", {}, stringify(low)),
    h("span.ramp", { style: { background: `linear-gradient(to right, ${colours.join(", ")})` } }), h("span", {}, stringify(high)));
}
