/** What stands around the pages: skip link, navigation, theme, key, help. */

import { h } from "../core/dom.js";
import { link } from "../core/route.js";
import { shortcut } from "../core/shortcuts.js";
import { isDark, toggleTheme } from "../core/theme.js";
import { iconButton } from "./buttons.js";
import { showHelp } from "./help.js";
import { icon } from "./icons.js";
import { editKey } from "./key-dialog.js";

/** The pages of the navigation, with the keys that open them. */
export const NAVIGATION = [
  { name: "collections", label: "Collections", icon: "collections", keys: "g c" },
  { name: "console", label: "Console", icon: "console", keys: "g q" },
  { name: "cluster", label: "Cluster", icon: "cluster", keys: "g l" },
  { name: "snapshots", label: "Snapshots", icon: "snapshot", keys: "g s" },
  { name: "tokens", label: "Tokens", icon: "token", keys: "g t" },
];

export function shell() {
  const main = h("main.main", { id: "main", tabindex: "-1" });
  const links = NAVIGATION.map(({ name, label, icon: drawing }) =>
    h("a", { href: link([name]), data: { name } }, icon(drawing), h("span", {}, label)));
  const instance = h("p.instance");
  const skip = (/** @type {Event} */ event) => {
    event.preventDefault(); // the address holds the page
    main.focus();
  };
  const element = h("div.shell", {},
    h("a.skip-link", { href: "#main", on: { click: skip } }, "Skip to content"),
    h("header.sidebar", {},
      h("a.brand", { href: link(["collections"]) },
        h("img", { src: new URL("../../icon.svg", import.meta.url).href, alt: "", width: 28, height: 28 }), "Vecraft"),
      h("nav.nav", { "aria-label": "Pages" }, links),
      h("div.sidebar-foot", {}, instance, h("div.sidebar-tools", {}, themeButton(),
        iconButton("key", "API key", editKey), iconButton("help", "Keyboard shortcuts", showHelp)))),
    main);
  shortcut("?", "Show keyboard shortcuts", showHelp);
  /** @param {string} current */
  const mark = (current) => {
    for (const each of links) {
      if (each.dataset.name === current) each.setAttribute("aria-current", "page");
      else each.removeAttribute("aria-current");
    }
  };
  return { element, main, mark, instance };
}

function themeButton() {
  const button = iconButton("moon", "Dark theme", toggleTheme);
  const draw = () => {
    const label = isDark() ? "Light theme" : "Dark theme";
    button.replaceChildren(icon(isDark() ? "sun" : "moon"));
    button.setAttribute("aria-label", label);
    button.title = label;
  };
  draw();
  addEventListener("themechange", draw);
  shortcut("t", "Switch between light and dark", toggleTheme);
  return button;
}
