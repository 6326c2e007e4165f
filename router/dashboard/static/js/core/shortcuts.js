/** Keys that do something anywhere on a page: single ones, and two in a row ("g c"). */

/** @type {Map<string, {run: () => void, label: string}>} */
const known = new Map();
const PAUSE_MS = 1200; // between the two keys of a pair

/** @param {string} keys @param {string} label @param {() => void} run @param {AbortSignal} [signal] removes it */
export function shortcut(keys, label, run, signal) {
  const entry = { run, label };
  known.set(keys, entry);
  signal?.addEventListener("abort", () => known.get(keys) === entry && known.delete(keys));
}

export function shortcuts() {
  return [...known].map(([keys, { label }]) => ({ keys, label }));
}

export function listenForShortcuts() {
  let before = "";
  let at = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    const pair = event.timeStamp - at < PAUSE_MS ? `${before} ${event.key}` : event.key;
    const found = known.get(pair) ?? known.get(event.key);
    before = event.key;
    at = event.timeStamp;
    if (!found) return;
    event.preventDefault();
    before = "";
    found.run();
  });
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches("input, textarea, select"));
}
