/**
 * Parts of a page that keep themselves up to date: `<div id="..." data-live="5">` is fetched again every 5 seconds while
 * the page is looked at, and replaced where the server says something else.
 */
import { showTimes } from "./times.js";

const policy = globalThis.trustedTypes?.createPolicy("lightphon", { createHTML: (text) => text });

/** This page as the server has it now, at `url`; null if it is not to be had. Only ever of our own server. */
export async function freshPage(url = location.href) {
  try {
    const answer = await fetch(url, { headers: { accept: "text/html" } });
    if (!answer.ok || answer.redirected) return null;
    const text = await answer.text();
    return new DOMParser().parseFromString(policy ? policy.createHTML(text) : text, "text/html");
  } catch {
    return null;
  }
}

/** Replace the elements of these ids by those of a fresh page. What somebody is typing in stays as it is. */
export function replaceParts(fresh, ids) {
  for (const id of ids) {
    const now = document.getElementById(id);
    const then = fresh.getElementById(id);
    if (!now || !then) continue;
    showTimes(then);
    if (now.isEqualNode(then)) continue;
    if (now.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")) continue;
    const focused = now.contains(document.activeElement) ? document.activeElement.id : "";
    now.replaceWith(document.adoptNode(then));
    if (focused) document.getElementById(focused)?.focus();
    then.dispatchEvent(new CustomEvent("replaced", { bubbles: true }));
  }
}

/** Fetch and replace these parts now. */
export async function refresh(ids, url = location.href) {
  const fresh = await freshPage(url);
  if (fresh) replaceParts(fresh, ids);
  return fresh !== null;
}

/** Begin with every `[data-live]` there is. */
export function startLive() {
  const parts = [...document.querySelectorAll("[data-live]")];
  if (parts.length === 0) return;
  const every = Math.min(...parts.map((part) => Number(part.dataset.live))) * 1000;
  const ids = parts.map((part) => part.id);
  let asking = false;
  const again = async () => {
    if (document.hidden || asking) return;
    asking = true;
    await refresh(ids);
    asking = false;
  };
  setInterval(again, every);
  document.addEventListener("visibilitychange", again);
}
