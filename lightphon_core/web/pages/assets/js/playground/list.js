/** The list of conversations, and the question whether to delete them. */
import { titleOf } from "./conversations.js";

/** Show them; `current` is the id of the one that is open. */
export function showList(conversations, current, { open, remove }) {
  const list = document.getElementById("conversations");
  list.replaceChildren(...conversations.map((each) => entry(each, each.id === current, { open, remove })));
  document.getElementById("no-conversations").hidden = conversations.length > 0;
  document.getElementById("delete-all").hidden = conversations.length === 0;
}

function entry(conversation, isCurrent, { open, remove }) {
  const item = document.getElementById("conversation-template").content.firstElementChild.cloneNode(true);
  const title = titleOf(conversation);
  const [opens, deletes] = item.querySelectorAll("button");
  const words = document.createElement("span");
  words.textContent = title;
  opens.append(words);
  opens.title = title;
  if (isCurrent) opens.setAttribute("aria-current", "true");
  opens.addEventListener("click", () => open(conversation));
  deletes.setAttribute("aria-label", `Delete “${title}”`);
  deletes.addEventListener("click", () => remove(conversation));
  return item;
}

/** Ask whether to go on. Resolves to true or false. */
export function areYouSure(question) {
  const dialog = document.getElementById("sure");
  document.getElementById("sure-title").textContent = question;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
