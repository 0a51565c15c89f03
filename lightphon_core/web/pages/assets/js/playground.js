/** The playground: one conversation at a time, and what its buttons do. */
import { copy } from "./copy.js";
import { refresh } from "./live.js";
import { notice } from "./notice.js";
import { adviceOn } from "./playground/advice.js";
import { ask } from "./playground/ask.js";
import { Conversations, turnsOf } from "./playground/conversations.js";
import { areYouSure, showList } from "./playground/list.js";
import { AnswerItem, questionItem } from "./playground/messages.js";
import { ModelPicker } from "./playground/models.js";
import { PlainView } from "./playground/plain.js";
import { servedBy } from "./playground/served.js";
import { checkSettings, parametersOf, readSettings, showSettings } from "./playground/settings.js";

const NEAR_THE_END_PX = 120;
const MOST_ROWS = 8;
const place = (id) => document.getElementById(id);
const root = place("playground");
const list = place("messages");
const question = place("question");
const settings = place("settings");
const details = document.querySelectorAll(".talk-side details");
if (matchMedia("(width >= 75rem)").matches) for (const each of details) each.open = true;
const View = "markdown" in root.dataset ? (await import("./playground/markdown.js")).MarkdownView : PlainView;

const kept = new Conversations(localStorage, document.body.dataset.account);
const models = new ModelPicker(root.dataset.wanted);
let conversation = kept.begin(models.chosen, {});
let running = null;

function open(other) {
  stop();
  stopEditing();
  conversation = other;
  models.choose(other.model);
  showSettings(settings, other.settings);
  list.replaceChildren();
  for (const message of other.messages) {
    if (message.role === "user") {
      list.append(questionItem(message.content));
      continue;
    }
    const item = new AnswerItem(View);
    item.end(message);
    list.append(item.element);
  }
  if (other.messages.at(-1)?.role === "user") {
    const item = new AnswerItem(View);
    item.fail({ words: "There is no answer to this yet.", link: null, again: true }, "");
    list.append(item.element);
  }
  update();
  scrollTo({ top: document.documentElement.scrollHeight });
}

function reopen({ id }) {
  const found = kept.get(id);
  if (found && id !== conversation.id) open(found);
}

function begin() {
  open(kept.begin(models.chosen, readSettings(settings)));
  question.focus();
}

/** What depends on everything: the list, the address, and which buttons there are. */
function update() {
  const said = conversation.messages.length > 0;
  place("nothing-said").hidden = said;
  place("send").hidden = running !== null;
  place("stop").hidden = running === null;
  root.toggleAttribute("data-answering", running !== null);
  history.replaceState(null, "", location.pathname + (said ? `#${conversation.id}` : location.search));
  showList(kept.all(), conversation.id, { open: reopen, remove });
}

function keep(talk) {
  if (!kept.keep(talk)) {
    notice("This browser has no room for more. Delete conversations, or this one goes when you leave.", "warn");
  }
}

async function send() {
  const text = question.value.trim();
  if (running || !checkSettings(settings)) return;
  if (text === "") {
    question.focus();
    return;
  }
  if (!place("editing").hidden) {
    const last = conversation.messages.findLastIndex(({ role }) => role === "user");
    conversation.messages.length = last;
    while (list.lastElementChild && !list.lastElementChild.matches(".talk-question")) list.lastElementChild.remove();
    list.lastElementChild?.remove();
  }
  stopEditing();
  question.value = "";
  question.focus();
  if (list.children.length > conversation.messages.length) list.lastElementChild.remove(); // why there was no answer
  conversation.messages.push({ role: "user", content: text });
  list.append(questionItem(text));
  await answer();
}

async function again() {
  if (running || !checkSettings(settings)) return;
  if (conversation.messages.at(-1).role === "assistant") conversation.messages.pop();
  list.lastElementChild.remove();
  question.focus();
  await answer();
}

/** Have the last message answered. */
async function answer() {
  const talk = conversation;
  const controller = new AbortController();
  const mine = () => conversation === talk;
  talk.model = models.chosen;
  talk.settings = readSettings(settings);
  keep(talk);
  const item = new AnswerItem(View, stickToTheEnd());
  list.append(item.element);
  running = controller;
  place("announced").textContent = "";
  update();
  scrollTo({ top: document.documentElement.scrollHeight });

  const request = { model: talk.model, messages: turnsOf(talk), session_id: talk.id, ...parametersOf(talk.settings) };
  const message = { role: "assistant", content: "" };
  let announced;
  try {
    const served = await ask(request, {
      signal: controller.signal,
      heard(soFar) {
        message.content = soFar.text;
        if (soFar.thinking) message.thinking = soFar.thinking;
        item.hear(soFar);
      },
    });
    message.served = servedBy(served);
    item.end(message);
    announced = `Answer: ${item.words}`;
  } catch (error) {
    const stopped = error.name === "AbortError";
    message.ending = stopped ? "stopped" : "failed";
    if (stopped && message.content) item.end(message);
    else if (stopped) item.fail({ words: "You stopped before anything had come.", link: null, again: true }, "");
    else item.fail(adviceOn(error));
    announced = stopped ? "Stopped." : error.message;
  }
  if (message.served || message.content) talk.messages.push(message);
  if (running === controller) running = null;
  if (message.served || message.content) keep(talk);
  if (!mine()) return;
  place("announced").textContent = announced;
  update();
  refresh(["balance", "purse"]);
}

function stop() {
  running?.abort();
  running = null;
}

/** Keep the end in sight while an answer grows, unless somebody reads further up. */
function stickToTheEnd() {
  let atTheEnd = true;
  let height = document.documentElement.scrollHeight;
  return () => {
    atTheEnd = scrollY + innerHeight >= height - NEAR_THE_END_PX;
    height = document.documentElement.scrollHeight;
    if (atTheEnd) scrollTo({ top: height, behavior: "instant" });
  };
}

function edit() {
  place("editing").hidden = false;
  question.value = conversation.messages.findLast(({ role }) => role === "user").content;
  question.focus();
}

function stopEditing() {
  if (place("editing").hidden) return;
  place("editing").hidden = true;
  question.value = "";
}

async function remove(other) {
  if (!(await areYouSure("Delete this conversation?"))) return;
  kept.remove(other.id);
  if (other.id === conversation.id) begin();
  else update();
}

async function removeAll() {
  if (!(await areYouSure("Delete all conversations?"))) return;
  stop();
  kept.removeAll();
  begin();
}

const actions = {
  again,
  edit,
  copy: (button) => {
    const at = [...list.children].indexOf(button.closest("li"));
    copy(conversation.messages[at].content, button);
  },
  "copy-code": (button) => copy(button.parentElement.querySelector("code").textContent, button),
};

list.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-action]");
  if (button) actions[button.dataset.action](button);
});
place("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
// Where `field-sizing` is not known.
question.addEventListener("input", () => (question.rows = Math.min(question.value.split("\n").length, MOST_ROWS)));
question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || matchMedia("(pointer: coarse)").matches) return;
  event.preventDefault();
  send();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
  if (running) {
    event.preventDefault();
    running.abort();
    question.focus();
  } else {
    stopEditing();
  }
});
place("stop").addEventListener("click", () => {
  running?.abort();
  question.focus();
});
place("new-conversation").addEventListener("click", begin);
place("stop-editing").addEventListener("click", () => {
  stopEditing();
  question.focus();
});
place("delete-all").addEventListener("click", removeAll);
settings.addEventListener("submit", (event) => event.preventDefault());
kept.watch(update);

place("send").disabled = false; // before, the browser itself would have sent the form, and lost what stands in it

const asked = kept.get(location.hash.slice(1));
if (asked) open(asked);
else update();
