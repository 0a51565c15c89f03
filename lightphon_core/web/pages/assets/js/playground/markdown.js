/**
 * Markdown to elements. What a model says is hostile: nothing in it may run, be fetched, be styled or be taken for a part
 * of this page. marked makes HTML of it, DOMPurify leaves of that what is listed here, as nodes, and no text of a model's
 * is ever parsed as HTML again.
 */
import { Marked } from "../../vendor/marked.js";
import DOMPurify from "../../vendor/purify.js";

const RULES = {
  ALLOWED_TAGS: [
    ..."p br hr strong em del sub sup kbd code pre blockquote ul ol li a h4 h5 h6".split(" "),
    ..."table thead tbody tr th td".split(" "),
  ],
  ALLOWED_ATTR: ["href", "start"],
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:)/i,
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};
/** Tags of HTML that mean something in the middle of Markdown. All others are shown as they were written. */
const INLINE = /^<\/?(?:br|sub|sup|kbd)\s*\/?>$/i;

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName === "A") {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer");
  }
});

const marked = new Marked({
  gfm: true,
  renderer: {
    html: ({ text, block }) => (INLINE.test(text.trim()) ? text : block ? `<p>${escaped(text)}</p>` : escaped(text)),
    image: ({ text, href }) => `[${escaped(text || "image")}: ${escaped(href)}]`,
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
    // The page itself has headings of the first three levels.
    heading({ tokens, depth }) {
      const level = Math.min(depth + 3, 6);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
    },
  },
});

/** Shows Markdown in `place`, again and again as more of it comes: blocks that stay the same are left alone. */
export class MarkdownView {
  #place;
  #shown = [];

  constructor(place) {
    this.#place = place;
    place.classList.remove("plain");
  }

  show(text) {
    const tokens = marked.lexer(text);
    const links = JSON.stringify(tokens.links); // a link may be defined after it is used
    const blocks = tokens.filter(({ type }) => type !== "space" && type !== "def");
    blocks.forEach((token, at) => {
      const said = token.raw + links;
      if (this.#shown[at] === said) return;
      this.#shown[at] = said;
      const block = document.createElement("div");
      block.append(clean(marked.parser([token])));
      const before = this.#place.children[at];
      if (before) before.replaceWith(block);
      else this.#place.append(block);
    });
    this.#shown.length = blocks.length;
    while (this.#place.children.length > blocks.length) this.#place.lastChild.remove();
  }
}

function clean(html) {
  const fragment = DOMPurify.sanitize(html, RULES);
  for (const pre of fragment.querySelectorAll("pre")) {
    pre.tabIndex = 0;
    wrap(pre, "copyable");
    const button = document.getElementById("code-template").content.cloneNode(true);
    button.firstElementChild.dataset.action = "copy-code";
    pre.after(button);
  }
  for (const table of fragment.querySelectorAll("table")) {
    const around = wrap(table, "table");
    around.tabIndex = 0;
    around.setAttribute("role", "region");
    around.setAttribute("aria-label", "Table");
    for (const cell of table.querySelectorAll("th")) cell.scope = "col";
  }
  return fragment;
}

function wrap(element, name) {
  const around = document.createElement("div");
  around.className = name;
  element.replaceWith(around);
  around.append(element);
  return around;
}

function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
