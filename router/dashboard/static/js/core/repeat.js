/** Looking again from time to time, while somebody can see it. */

/** @param {number} milliseconds @param {AbortSignal} signal ends it @param {() => Promise<unknown>} work */
export function repeat(milliseconds, signal, work) {
  let timer = 0;
  const next = () => {
    timer = window.setTimeout(async () => {
      if (document.visibilityState === "visible") await work();
      if (!signal.aborted) next();
    }, milliseconds);
  };
  next();
  signal.addEventListener("abort", () => clearTimeout(timer));
}
