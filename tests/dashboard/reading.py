"""What a page is asked about how it can be read: scripts that run in the browser."""

from __future__ import annotations

# Elements with text whose colours are closer than WCAG's 4.5 (3 for large text); what is switched off may be.
POOR_CONTRAST = """() => {
  const luminance = (rgb) => rgb.map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  const parsed = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, a = 1] = parsed(getComputedStyle(at).backgroundColor);
      if (a > 0.9) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("main *, header *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const style = getComputedStyle(element);
    const isLeftOut = element.closest(":disabled, .visually-hidden, [hidden], textarea, option");
    if (!own || isLeftOut || !element.offsetParent) continue;
    const [r, g, b, a = 1] = parsed(style.color);
    if (a === 0) continue;
    const both = [luminance([r, g, b]), luminance(ground(element))];
    const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    const least = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
    if (ratio < least) poor.push(`${element.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return poor;
}"""

# Controls that a reader could not name.
NAMELESS = """() => [...document.querySelectorAll("button, a, input, select, textarea")].filter((element) =>
  element.offsetParent && !element.ariaLabel && !element.labels?.length && !element.textContent.trim())
  .map((element) => element.outerHTML.slice(0, 120))"""


# The sum of all shifts so far (https://web.dev/cls), of which 0.1 counts as good.
SHIFTED = """() => new Promise((resolve) => {
  let sum = 0;
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) sum += entry.value;
  });
  observer.observe({ type: "layout-shift", buffered: true });
  requestAnimationFrame(() => requestAnimationFrame(() => resolve(sum)));
})"""
