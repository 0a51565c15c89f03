/** What to do about an answer that did not come. */

/** `{ words, link, again }` for an `ApiError`: what to say, where to go (`{ href, text }`) or null, whether to try again. */
export function adviceOn({ status, code, message, retryAfter }) {
  const link = (href, text) => ({ words: message, link: { href, text }, again: true });
  if (status === 402 || code === "insufficient_balance" || code === "balance_owed") return link("/wallet", "Go to the wallet");
  if (status === 401 || code === "session_ended" || code === "not_logged_in") {
    return link(`/login?next=${encodeURIComponent(location.pathname)}`, "Log in again");
  }
  if (code === "account_blocked") return { words: message, link: null, again: false };
  if (status === 404) return { words: `${message} Pick another model, or auto.`, link: null, again: true };
  if (retryAfter) return { words: `${message} It may work in ${retryAfter} s.`, link: null, again: true };
  return { words: message, link: null, again: true };
}
