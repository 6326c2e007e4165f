/** Light or dark: the system's choice until somebody makes one here. */

import { keepPreference, preference } from "./session.js";

const system = matchMedia("(prefers-color-scheme: dark)");

export function isDark() {
  return document.documentElement.dataset.theme === "dark";
}

export function toggleTheme() {
  const wanted = isDark() ? "light" : "dark";
  // What the system shows anyway is no choice of its own.
  keepPreference("theme", (wanted === "dark") === system.matches ? null : wanted);
  show(wanted);
}

export function followSystem() {
  system.addEventListener("change", () => {
    if (!preference("theme")) show(system.matches ? "dark" : "light");
  });
}

/** @param {"light" | "dark"} theme */
function show(theme) {
  document.documentElement.dataset.theme = theme;
  dispatchEvent(new Event("themechange"));
}
