/** Times come from the server in UTC; people read them by their own clock. */

/** Show every `<time datetime>` below `root` that way. */
export function showTimes(root) {
  for (const each of root.querySelectorAll("time[datetime]")) {
    const at = new Date(each.dateTime);
    if (!Number.isNaN(at.valueOf())) {
      each.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    }
  }
}
