/**
 * Points on a canvas: panned, zoomed, pointed at, chosen, by pointer and by keys. It draws once per frame and only
 * when something changed.
 */

import { h } from "../core/dom.js";

const RADIUS = 3.2;
const NEAR = 12; // pixels within which a point is pointed at
const MARGIN = 24;
const ZOOM_MIN = 0.5;
const ZOOM_MAX = 200;
const KEY_PAN = 60;

/**
 * @typedef {object} Look
 * @property {Int16Array} groups
 * @property {string[]} colours by group
 * @property {string} other colour of points in no group
 * @property {string} ink of what is chosen
 * @property {Set<number>} hidden groups that are faint
 */

export class Plot {
  /** @param {{hovered: (index: number, x: number, y: number) => void, chosen: (index: number) => void}} listener index -1: none */
  constructor(listener) {
    this.listener = listener;
    this.canvas = h("canvas.plot", { tabindex: "0", role: "application", "aria-roledescription": "map",
      "aria-label": "Map of points. Arrow keys move, plus and minus zoom, 0 shows all, N and P choose the next and previous point." });
    this.context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    /** @type {Float32Array} */
    this.places = new Float32Array(0);
    this.size = { width: 1, height: 1 };
    /** @type {Look} */
    this.look = { groups: new Int16Array(0), colours: [], other: "#888", ink: "#000", hidden: new Set() };
    this.view = { x: 0, y: 0, zoom: 1 };
    this.bounds = { x: 0, y: 0, size: 1 };
    this.hover = -1;
    this.choice = -1;
    this.frame = 0;
    /** @type {Map<number, {x: number, y: number}>} */
    this.pointers = new Map();
    this.moved = 0;
    this.listen();
  }

  /** @param {AbortSignal} signal */
  follow(signal) {
    const observer = new ResizeObserver(() => this.draw());
    observer.observe(this.canvas);
    signal.addEventListener("abort", () => observer.disconnect());
  }

  /** @param {Float32Array} places n × 2 */
  setPlaces(places) {
    const sameNumber = places.length === this.places.length;
    this.places = places;
    if (!sameNumber) {
      this.hover = -1;
      this.choice = -1;
    }
    this.bounds = boundsOf(places);
    this.draw();
  }

  /** @param {Partial<Look>} look */
  setLook(look) {
    this.look = { ...this.look, ...look };
    this.draw();
  }

  fit() {
    this.view = { x: 0, y: 0, zoom: 1 };
    this.draw();
  }

  draw() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.paint();
    });
  }

  paint() {
    const { width, height } = this.canvas.getBoundingClientRect();
    const ratio = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    this.size = { width, height };
    const { context, look } = this;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const radius = RADIUS * Math.min(2.2, this.view.zoom ** 0.3);
    for (const group of [...new Set([-1, ...look.groups])].sort((a, b) => a - b)) this.paintGroup(group, radius);
    context.globalAlpha = 1;
    for (const index of [this.hover, this.choice]) if (index >= 0) this.ring(index, radius);
  }

  /** A circle at a time: one path of thousands takes three times as long to fill. @param {number} group @param {number} radius */
  paintGroup(group, radius) {
    const { context, look, size: { width, height } } = this;
    context.globalAlpha = look.hidden.has(group) ? 0.08 : group < 0 ? 0.5 : 0.82;
    context.fillStyle = group < 0 ? look.other : look.colours[group];
    for (let index = 0; index < this.places.length / 2; index += 1) {
      if ((look.groups[index] ?? -1) !== group) continue;
      const [x, y] = this.onScreen(index);
      if (x < -radius || y < -radius || x > width + radius || y > height + radius) continue;
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      context.fill();
    }
  }

  /** @param {number} index @param {number} radius */
  ring(index, radius) {
    const [x, y] = this.onScreen(index);
    this.context.beginPath();
    this.context.arc(x, y, radius + 3, 0, 7);
    this.context.lineWidth = index === this.choice ? 2.5 : 1.5;
    this.context.strokeStyle = this.look.ink;
    this.context.stroke();
  }

  scale() {
    const { width, height } = this.size;
    return ((Math.min(width, height) - 2 * MARGIN) / this.bounds.size) * this.view.zoom;
  }

  /** @param {number} index @returns {[number, number]} in pixels */
  onScreen(index) {
    const { width, height } = this.size;
    const scale = this.scale();
    return [width / 2 + this.view.x + (this.places[index * 2] - this.bounds.x) * scale,
      height / 2 + this.view.y - (this.places[index * 2 + 1] - this.bounds.y) * scale];
  }

  /** The point nearest to a place on the screen, -1 if none is near. @param {number} x @param {number} y */
  at(x, y) {
    let [best, least] = [-1, NEAR ** 2];
    for (let index = 0; index < this.places.length / 2; index += 1) {
      if (this.look.hidden.has(this.look.groups[index] ?? -1)) continue;
      const [px, py] = this.onScreen(index);
      const squared = (px - x) ** 2 + (py - y) ** 2;
      if (squared < least) [best, least] = [index, squared];
    }
    return best;
  }

  /** @param {number} factor @param {number} [x] @param {number} [y] what stays where it is */
  zoom(factor, x, y) {
    const { width, height } = this.size;
    const zoom = Math.max(ZOOM_MIN, Math.min(ZOOM_MAX, this.view.zoom * factor));
    const real = zoom / this.view.zoom;
    const [dx, dy] = [(x ?? width / 2) - width / 2, (y ?? height / 2) - height / 2];
    this.view = { zoom, x: dx - (dx - this.view.x) * real, y: dy - (dy - this.view.y) * real };
    this.draw();
  }

  /** @param {number} index */
  choose(index) {
    this.choice = index;
    this.draw();
    this.listener.chosen(index);
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("wheel", (/** @type {WheelEvent} */ event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * 0.0015), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
      this.moved = 0;
    });
    canvas.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => this.pointed(event));
    canvas.addEventListener("pointerup", (/** @type {PointerEvent} */ event) => {
      const wasOne = this.pointers.delete(event.pointerId) && this.pointers.size === 0;
      if (wasOne && this.moved < 5) this.choose(this.at(event.offsetX, event.offsetY));
    });
    canvas.addEventListener("pointercancel", (/** @type {PointerEvent} */ event) => this.pointers.delete(event.pointerId));
    canvas.addEventListener("pointerleave", () => this.pointAt(-1, 0, 0));
    canvas.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.pressed(event));
  }

  /** @param {PointerEvent} event */
  pointed(event) {
    const before = this.pointers.get(event.pointerId);
    const [x, y] = [event.offsetX, event.offsetY];
    if (!before) {
      this.pointAt(this.at(x, y), x, y);
      return;
    }
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    this.moved += Math.abs(x - before.x) + Math.abs(y - before.y);
    this.pointers.set(event.pointerId, { x, y });
    if (others.length === 1) {
      const [other] = others;
      const factor = Math.hypot(x - other.x, y - other.y) / (Math.hypot(before.x - other.x, before.y - other.y) || 1);
      this.zoom(factor, other.x, other.y);
    } else {
      this.view = { ...this.view, x: this.view.x + x - before.x, y: this.view.y + y - before.y };
      this.draw();
    }
  }

  /** @param {number} index @param {number} x @param {number} y */
  pointAt(index, x, y) {
    if (index !== this.hover) this.draw();
    this.hover = index;
    this.canvas.style.cursor = index >= 0 ? "pointer" : "grab";
    this.listener.hovered(index, x, y);
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    const n = this.places.length / 2;
    /** @type {Record<string, () => void>} */
    const actions = {
      ArrowLeft: () => this.pan(KEY_PAN, 0), ArrowRight: () => this.pan(-KEY_PAN, 0),
      ArrowUp: () => this.pan(0, KEY_PAN), ArrowDown: () => this.pan(0, -KEY_PAN),
      "+": () => this.zoom(1.3), "=": () => this.zoom(1.3), "-": () => this.zoom(1 / 1.3), 0: () => this.fit(),
      n: () => n && this.choose((this.choice + 1) % n), p: () => n && this.choose((Math.max(this.choice, 0) + n - 1) % n),
    };
    const action = event.ctrlKey || event.metaKey || event.altKey ? undefined : actions[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  /** @param {number} x @param {number} y */
  pan(x, y) {
    this.view = { ...this.view, x: this.view.x + x, y: this.view.y + y };
    this.draw();
  }
}

/** @param {Float32Array} places */
function boundsOf(places) {
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let at = 0; at < places.length; at += 2) {
    left = Math.min(left, places[at]);
    right = Math.max(right, places[at]);
    low = Math.min(low, places[at + 1]);
    high = Math.max(high, places[at + 1]);
  }
  if (left > right) return { x: 0, y: 0, size: 1 };
  return { x: (left + right) / 2, y: (low + high) / 2, size: Math.max(right - left, high - low) || 1 };
}
