/**
 * Conversations, kept in this browser alone: each under a key of its own, so that two tabs do not overwrite one another.
 * Those of an account are shown to that account.
 *
 * A conversation is `{ id, at, model, settings, messages }`; a message `{ role, content }`, of an answer also `thinking`,
 * and `served` or `ending` ("stopped", "failed").
 */
const LONGEST_TITLE = 60;

export class Conversations {
  #storage;
  #prefix;
  #gone = new Set();

  constructor(storage, account) {
    this.#storage = storage;
    this.#prefix = `lightphon/conversation/${encodeURIComponent(account)}/`;
  }

  /** A new one, which is not kept before something was said in it. */
  begin(model, settings) {
    return { id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, at: Date.now(), model, settings, messages: [] };
  }

  /** All of them, the latest first. */
  all() {
    return this.#keys()
      .map((key) => this.#read(key))
      .filter((each) => each !== null)
      .sort((one, other) => other.at - one.at);
  }

  /** The one of this id; null where there is none. */
  get(id) {
    return this.#read(this.#prefix + id);
  }

  /** Keep it as it is now, unless it was removed meanwhile. False where the browser has no room for it. */
  keep(conversation) {
    if (this.#gone.has(conversation.id)) return true;
    conversation.at = Date.now();
    try {
      this.#storage.setItem(this.#prefix + conversation.id, JSON.stringify(conversation));
    } catch {
      return false;
    }
    return true;
  }

  remove(id) {
    this.#gone.add(id);
    this.#storage.removeItem(this.#prefix + id);
  }

  removeAll() {
    for (const { id } of this.all()) this.remove(id);
  }

  /** Have `changed` called when another tab has changed one of them. */
  watch(changed) {
    addEventListener("storage", ({ key }) => {
      if (key === null || key.startsWith(this.#prefix)) changed();
    });
  }

  #keys() {
    return Object.keys(this.#storage).filter((key) => key.startsWith(this.#prefix));
  }

  #read(key) {
    try {
      const read = JSON.parse(this.#storage.getItem(key) ?? "null");
      return Array.isArray(read?.messages) ? read : null;
    } catch {
      return null;
    }
  }
}

/** What a conversation is called: how it begins. */
export function titleOf({ messages }) {
  const text = messages[0]?.content.trim().replace(/\s+/g, " ") ?? "";
  return text.length > LONGEST_TITLE ? `${text.slice(0, LONGEST_TITLE)}…` : text;
}

/** The messages as the server is asked. What was said twice in a row is one message: many models insist on turns. */
export function turnsOf({ messages, settings }) {
  const turns = [];
  if (settings.system) turns.push({ role: "system", content: settings.system });
  for (const { role, content } of messages) {
    if (content === "") continue;
    const last = turns.at(-1);
    if (last?.role === role) last.content += `\n\n${content}`;
    else turns.push({ role, content });
  }
  return turns;
}
