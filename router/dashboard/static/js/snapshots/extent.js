/** What a backup of the cluster holds, and when it was made. Pure. */

/** @param {{shards: Record<string, {points: number}[]>}} backup as the node describes it */
export function extentOf({ shards }) {
  const all = Object.values(shards);
  return { collections: all.length, points: all.flat().reduce((sum, { points }) => sum + points, 0) };
}

/** @param {string} name that of a backup @returns {string | null} UTC, from the name; null: it does not say */
export function momentOf(name) {
  const found = /^(\d{4}-\d\d-\d\d)-(\d\d)-(\d\d)-(\d\d)-/.exec(name);
  return found && `${found[1]}T${found[2]}:${found[3]}:${found[4]}`;
}
