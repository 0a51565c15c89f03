/**
 * Forms that ask the JSON API: `<form data-api="POST /api/..." data-then="/where to go">`.
 *
 * Each field's name is a member of the body; empty ones are left out. `data-as="number"` on a field sends a number,
 * "msat" a number of sats as msat. A dot in a name makes an object ("budgets.day"). Without `data-then` the form sends
 * the event `done`, whose `detail` is the answer. Before, the event `sending` has the body as its `detail`, for pages to
 * add what fields cannot say. `data-idempotency-key` is sent as that header. An error is shown in the form's
 * `[role=alert]`, at its field.
 */
import { api } from "./api.js";

/** The body that a form stands for. */
export function bodyOf(form) {
  const body = {};
  for (const field of form.elements) {
    if (!field.name || field.disabled || (field.type === "radio" && !field.checked)) continue;
    const value = valueOf(field);
    if (value === undefined) continue;
    const path = field.name.split(".");
    let place = body;
    for (const name of path.slice(0, -1)) place = place[name] ??= {};
    const last = path.at(-1);
    if (field.type === "checkbox" && field.value !== "on") (place[last] ??= []).push(value);
    else place[last] = value;
  }
  return body;
}

function valueOf(field) {
  if (field.type === "checkbox") return field.value === "on" ? field.checked : field.checked ? field.value : undefined;
  const text = field.type === "password" ? field.value : field.value.trim();
  if (text === "") return undefined;
  if (field.dataset.as === "number") return Number(text);
  if (field.dataset.as === "msat") return Math.round(Number(text) * 1000);
  return text;
}

/** Show what went wrong in the form, at the field that it is about. */
export function showError(form, error) {
  const said = form.querySelector("[role=alert]");
  said.textContent = error.message;
  said.hidden = false;
  const field = error.param ? form.elements.namedItem(error.param) : null;
  if (field instanceof HTMLElement) {
    field.setAttribute("aria-invalid", "true");
    field.focus();
  }
}

/** Have every such form work, those that come later too. */
export function startForms() {
  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-api]");
    if (!form) return;
    event.preventDefault();
    const button = event.submitter ?? form.querySelector("[type=submit]");
    if (button?.getAttribute("aria-busy") === "true") return;
    for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    const said = form.querySelector("[role=alert]");
    said.hidden = true;
    button?.setAttribute("aria-busy", "true");
    const [method, path] = form.dataset.api.split(" ");
    try {
      const body = method === "DELETE" ? undefined : bodyOf(form);
      form.dispatchEvent(new CustomEvent("sending", { bubbles: true, detail: body }));
      const key = form.dataset.idempotencyKey;
      const headers = key === undefined ? {} : { "idempotency-key": key };
      const answer = await api(method, path, body, headers);
      if (form.dataset.then) location.assign(form.dataset.then);
      else form.dispatchEvent(new CustomEvent("done", { bubbles: true, detail: answer }));
    } catch (error) {
      showError(form, error);
    } finally {
      button?.removeAttribute("aria-busy");
    }
  });
}
