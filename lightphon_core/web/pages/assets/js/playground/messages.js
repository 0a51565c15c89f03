/** What was said, as items of the list: made of the templates in playground.html. */
import { inWords } from "./served.js";

const ENDINGS = {
  stopped: "You stopped this answer. Only what had come by then is charged.",
  failed: "This answer broke off. Nothing was paid for it.",
  length: "The answer is cut off here: at the longest that your settings, the model or your wallet allow.",
};

function copyOf(template) {
  const item = document.getElementById(template).content.firstElementChild.cloneNode(true);
  const slots = {};
  for (const each of item.querySelectorAll("[data-slot]")) slots[each.dataset.slot] = each;
  return { item, slots };
}

/** The item of a question. */
export function questionItem(text) {
  const { item, slots } = copyOf("question-template");
  slots.text.textContent = text;
  return item;
}

/** The item of an answer. It is busy, for those who listen to the page, until `end` or `fail`. */
export class AnswerItem {
  #slots;
  #view;
  #frame = 0;
  #heard = { text: "", thinking: "" };

  /** `View` renders text; `drawn` is called after each drawing. */
  constructor(View, drawn = () => {}) {
    const { item, slots } = copyOf("answer-template");
    this.element = item;
    this.#slots = slots;
    this.#view = new View(slots.text);
    this.drawn = drawn;
    item.setAttribute("aria-busy", "true");
  }

  /** What has come so far; drawn with the browser's next frame, however often this is called. */
  hear({ text, thinking }) {
    this.#heard = { text, thinking };
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  /** The answer is `message`, whole or stopped. */
  end({ content, thinking = "", served = null, ending = null }) {
    this.#heard = { text: content, thinking };
    this.#over();
    this.#slots.actions.hidden = content === "";
    for (const line of served ? inWords(served) : []) {
      const entry = document.createElement("li");
      entry.textContent = line;
      this.#slots.served.append(entry);
    }
    const why = ending ?? (served?.finish === "length" ? "length" : null);
    if (why) this.#note(ENDINGS[why], ending === "failed" ? "bad" : "");
    else if (content === "") this.#note("The model said nothing.");
  }

  /** There is no answer: say why, and what to do. */
  fail({ words, link, again }, kind = "bad") {
    this.#over();
    this.#note(words, kind);
    const { "note-link": place, "note-again": button } = this.#slots;
    if (link) {
      place.href = link.href;
      place.textContent = link.text;
      place.hidden = false;
    }
    button.hidden = !again;
    this.#slots["note-ways"].hidden = !link && !again;
  }

  /** All that can be read of it. */
  get words() {
    return this.#slots.text.textContent;
  }

  #over() {
    cancelAnimationFrame(this.#frame);
    this.#draw();
    this.#slots.waiting.hidden = true;
    this.element.removeAttribute("aria-busy");
  }

  #draw() {
    this.#frame = 0;
    const { text, thinking } = this.#heard;
    this.#view.show(text);
    this.#slots.reasoning.textContent = thinking;
    this.#slots.thinking.hidden = thinking === "";
    this.#slots.waiting.hidden = text !== "" || thinking !== "";
    this.drawn();
  }

  #note(words, kind = "") {
    this.#slots["note-words"].textContent = words;
    this.#slots.note.className = `note ${kind}`;
    this.#slots.note.hidden = false;
  }
}
