/** Line icons on a grid of 24, drawn for this dashboard. */

import { svg } from "../core/dom.js";

/** @type {Record<string, string[]>} paths by name */
const PATHS = {
  alert: ["M12 4l9 16H3z", "M12 10v4", "M12 17v.01"],
  chevron: ["M9 6l6 6-6 6"],
  close: ["M6 6l12 12", "M18 6L6 18"],
  cluster: ["M12 3l7 4v10l-7 4-7-4V7z", "M12 12l7-4", "M12 12v9", "M12 12L5 8"],
  collections: ["M4 6h16v5H4z", "M4 14h16v5H4z", "M7 8.5h.01", "M7 16.5h.01"],
  console: ["M4 5h16v14H4z", "M8 10l3 2.5L8 15", "M13 15h3"],
  copy: ["M9 9h10v10H9z", "M5 15V5h10"],
  download: ["M12 4v11", "M8 11l4 4 4-4", "M5 19h14"],
  edit: ["M4 20l1-4L16 5l3 3L8 19z", "M14 7l3 3"],
  empty: ["M4 13l3-8h10l3 8v6H4z", "M4 13h5l1 2h4l1-2h5"],
  filter: ["M4 5h16l-6 7v6l-4 2v-8z"],
  fit: ["M4 9V4h5", "M15 4h5v5", "M20 15v5h-5", "M9 20H4v-5"],
  help: ["M12 3a9 9 0 100 18 9 9 0 000-18z", "M9.5 9.5a2.5 2.5 0 113.5 2.3c-.7.3-1 .8-1 1.7", "M12 16.5v.01"],
  key: ["M8 11a4 4 0 100 8 4 4 0 000-8z", "M11 12l8-8", "M16 7l3 3"],
  map: ["M6 7h.01", "M10 5h.01", "M8 10h.01", "M16 14h.01", "M18 18h.01", "M14 18h.01", "M19 7h.01", "M5 18h.01"],
  minus: ["M5 12h14"],
  moon: ["M19 14.5A8 8 0 119.5 5a6.5 6.5 0 009.5 9.5z"],
  more: ["M6 12h.01", "M12 12h.01", "M18 12h.01"],
  play: ["M7 5l12 7-12 7z"],
  plus: ["M12 5v14", "M5 12h14"],
  refresh: ["M20 12a8 8 0 11-2.5-5.8", "M20 4v4h-4"],
  search: ["M11 5a6 6 0 100 12 6 6 0 000-12z", "M15.5 15.5L20 20"],
  similar: ["M9 5a4 4 0 100 8 4 4 0 000-8z", "M15 11a4 4 0 100 8 4 4 0 000-8z"],
  snapshot: ["M4 8h4l2-3h4l2 3h4v11H4z", "M12 10a3.5 3.5 0 100 7 3.5 3.5 0 000-7z"],
  sun: ["M12 8a4 4 0 100 8 4 4 0 000-8z", "M12 3v1.5M12 19.5V21M3 12h1.5M19.5 12H21M5.6 5.6l1 1M17.4 17.4l1 1M5.6 18.4l1-1M17.4 6.6l1-1"],
  token: ["M4 7h16v10H4z", "M8 12h.01M12 12h.01M16 12h.01"],
  trash: ["M5 7h14", "M9 7V4h6v3", "M7 7l1 13h8l1-13"],
  upload: ["M12 16V5", "M8 9l4-4 4 4", "M5 19h14"],
};

/** @param {string} name */
export function icon(name) {
  const paths = PATHS[name].map((d) => svg("path", { d }));
  return svg("svg", { class: "icon-svg", viewBox: "0 0 24 24", "aria-hidden": "true" }, ...paths);
}
