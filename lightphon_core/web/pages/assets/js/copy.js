/** Buttons that copy: `<button data-copy="id of what to copy">`. */
import { notice } from "./notice.js";

/** Copy `text`, and say so on `button`. */
export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    notice("The browser did not let this page copy. Select the text, and copy it yourself.", "warn");
    return;
  }
  const words = button.querySelector("[data-words]") ?? button;
  const before = words.textContent;
  if (before === "Copied") return;
  words.textContent = "Copied";
  notice("Copied.");
  setTimeout(() => (words.textContent = before), 1500);
}

/** Have every such button work, those that come later too. */
export function startCopying() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(document.getElementById(button.dataset.copy).textContent, button);
  });
}
