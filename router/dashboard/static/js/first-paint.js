// Runs before the first paint, as no module can: the theme somebody chose is there from the start.
(() => {
  let choice = "system";
  try {
    choice = localStorage.getItem("vecraft.theme") ?? "system";
  } catch {
    // Storage may be switched off; then the system's theme it is.
  }
  const dark = choice === "dark" || (choice !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
