/** Which model is asked. The list of those that are here comes from the server, and anew every few seconds. */

export class ModelPicker {
  #chosen;

  /** `wanted` is the model to begin with, "" for the first. */
  constructor(wanted) {
    this.#chosen = wanted || this.#select.value;
    document.addEventListener("change", ({ target }) => {
      if (target === this.#select) this.choose(target.value);
    });
    document.addEventListener("replaced", ({ target }) => {
      if (target.id === "models") this.choose(this.#chosen);
    });
    this.choose(this.#chosen);
  }

  get chosen() {
    return this.#chosen;
  }

  /** Pick this one, also if it is not here now. */
  choose(id) {
    this.#chosen = id;
    const select = this.#select;
    if (![...select.options].some((each) => each.value === id)) select.add(new Option(`${id} – not online now`, id));
    select.value = id;
    const { facts = "", openclaw } = select.selectedOptions[0].dataset;
    document.getElementById("facts-in-words").textContent = facts;
    document.getElementById("is-openclaw").hidden = openclaw === undefined;
  }

  get #select() {
    return document.getElementById("model");
  }
}
