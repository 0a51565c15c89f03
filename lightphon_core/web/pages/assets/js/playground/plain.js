/** Answers as plain text, where the scripts that render Markdown are not installed. */
export class PlainView {
  #place;

  constructor(place) {
    this.#place = place;
    place.classList.add("plain");
  }

  show(text) {
    this.#place.textContent = text;
  }
}
