/** Which colour a point gets: one per frequent value, or along a scale of numbers. Pure. */

export const GROUPS_MAX = 9;
const DISTINCT_MAX = 12; // numbers of fewer values are groups, too

/** Told apart by people who see few hues, too: they differ in lightness. */
export const PALETTES = {
  light: ["#0b6b64", "#c2410c", "#4f46b8", "#b5860b", "#b3246f", "#2f7fc1", "#5f7d12", "#8a5a44", "#7a3fb0"],
  dark: ["#5fd3c3", "#ff9a5c", "#a7a0ff", "#f0cf63", "#ff8cc6", "#7cc4ee", "#b9d95a", "#d9b09a", "#cf9df5"],
};
export const OTHER = { light: "#a0a8b0", dark: "#5c6672" };
const SCALES = {
  light: ["#3b1c6b", "#3a5a9a", "#1f8a8a", "#5aa83a", "#d9a514"],
  dark: ["#7b6ad0", "#5b9be0", "#4cc9b4", "#a5db5b", "#fbe36a"],
};

/**
 * @typedef {object} Colouring
 * @property {Int16Array} groups of each point: a place in `labels`, -1 for none of them
 * @property {{label: string, count: number}[]} labels
 * @property {{low: number, high: number} | null} scale if colours stand for numbers
 */

/** @param {any[]} values @returns {Colouring} */
export function colouring(values) {
  const numbers = values.filter((value) => value !== undefined).map(Number);
  const areNumbers = values.every((value) => value === undefined || typeof value === "number" || typeof value === "object");
  if (areNumbers && new Set(numbers).size > DISTINCT_MAX) return alongScale(values, numbers);
  return byValue(values);
}

const STEPS = 24;

/** @param {any[]} values @param {number[]} numbers */
function alongScale(values, numbers) {
  const low = numbers.reduce((least, each) => Math.min(least, each), Infinity);
  const high = numbers.reduce((most, each) => Math.max(most, each), -Infinity);
  const groups = Int16Array.from(values, (value) => (value === undefined ? -1
    : Math.min(STEPS - 1, Math.floor(((Number(value) - low) / (high - low || 1)) * STEPS))));
  return { groups, labels: [], scale: { low, high } };
}

/** @param {any[]} values */
function byValue(values) {
  const counts = new Map();
  for (const value of values) if (value !== undefined) counts.set(String(value), (counts.get(String(value)) ?? 0) + 1);
  const frequent = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).slice(0, GROUPS_MAX);
  const places = new Map(frequent.map(([label], place) => [label, place]));
  return {
    groups: Int16Array.from(values, (value) => (value === undefined ? -1 : places.get(String(value)) ?? -1)),
    labels: frequent.map(([label, count]) => ({ label, count })),
    scale: null,
  };
}

/** The colour of each group. @param {Colouring} colouring @param {"light" | "dark"} theme @returns {string[]} */
export function coloursOf(colouring, theme) {
  if (!colouring.scale) return PALETTES[theme];
  return Array.from({ length: STEPS }, (_, step) => between(SCALES[theme], step / (STEPS - 1)));
}

/** @param {string[]} stops @param {number} at in [0, 1] */
function between(stops, at) {
  const place = at * (stops.length - 1);
  const low = Math.min(stops.length - 2, Math.floor(place));
  const [a, b] = [stops[low], stops[low + 1]].map((colour) => [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16)));
  return `#${a.map((each, k) => Math.round(each + (b[k] - each) * (place - low)).toString(16).padStart(2, "0")).join("")}`;
}
