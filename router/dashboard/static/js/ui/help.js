/** The keys that work, shown by `?`. */

import { h } from "../core/dom.js";
import { shortcuts } from "../core/shortcuts.js";
import { openDialog } from "./dialog.js";

const ALWAYS = [
  { keys: "Ctrl Enter", label: "Run the query, in the console" },
  { keys: "Esc", label: "Close a dialog" },
];

export function showHelp() {
  const rows = [...shortcuts(), ...ALWAYS].map(({ keys, label }) => [
    h("dt", {}, keys.split(" ").map((key) => [h("kbd", {}, key), " "])), h("dd", {}, label),
  ]);
  openDialog("Keyboard shortcuts", h("dl.pairs", {}, rows));
}
