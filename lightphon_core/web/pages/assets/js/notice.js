/** Short messages in the corner, read out by screen readers. Errors stay until they are closed. */
const KEPT_MS = 6000;

/** Say `text`; `kind` is "good", "warn" or "bad". */
export function notice(text, kind = "good") {
  const place = document.getElementById(kind === "bad" ? "alerts" : "notices");
  const note = document.createElement("div");
  note.className = `note ${kind}`;
  const words = document.createElement("p");
  words.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "button quiet compact";
  close.textContent = "Close";
  close.addEventListener("click", () => note.remove());
  note.append(words, close);
  place.append(note);
  if (kind !== "bad") setTimeout(() => note.remove(), KEPT_MS);
}
