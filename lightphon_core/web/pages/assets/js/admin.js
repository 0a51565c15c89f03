/**
 * The pages for administrators: dialogs, and forms of the JSON API that leave one on the page.
 *
 * `<button data-open="id of a dialog">` opens it. A form with `data-refresh="ids"` has these parts of the page fetched
 * anew once it is done, and says what `data-said` says; `data-goes` opens the page of the id that was answered, and
 * `data-shows` shows a part with what was answered. What a form with `data-once` asks for happens once, however often it
 * is sent.
 */
import { showError } from "./forms.js";
import { refresh } from "./live.js";
import { notice } from "./notice.js";

document.querySelector(".tabs [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-open]");
  if (!button) return;
  const dialog = document.getElementById(button.dataset.open);
  const form = dialog.querySelector("form");
  clear(form);
  if (button.dataset.payout) {
    form.querySelector("[data-says]").textContent = `${button.dataset.what}.`;
    form.dataset.api = form.dataset.api.replace(/payouts\/[^/]+/, `payouts/${button.dataset.payout}`);
  }
  if (button.dataset.provider) form.dataset.provider = button.dataset.provider;
  dialog.showModal();
});

document.addEventListener("done", (event) => ended(event.target, event.detail));

async function ended(form, answer) {
  if (form === reconciling) {
    await reconciled(answer);
    return;
  }
  if (form.dataset.goes) {
    location.assign(form.dataset.goes + answer.id);
    return;
  }
  if (form.dataset.shows) {
    show(document.getElementById(form.dataset.shows), answer);
    form.hidden = true;
    return;
  }
  form.closest("dialog")?.close();
  form.reset();
  notice(form.dataset.said);
  await refresh(form.dataset.refresh.split(" "));
  // What had the focus may be gone with what was removed.
  if (document.activeElement === document.body) document.getElementById("main").focus();
}

/** Fill in what was answered, where the page has a place for it. */
function show(part, answer) {
  for (const place of part.querySelectorAll("[data-member]")) {
    place.textContent = (place.dataset.before ?? "") + answer[place.dataset.member];
  }
  part.hidden = false;
  part.querySelector("button").focus();
}

/** A dialog that is opened again is as it was at first: no secret, and no error of the last time. */
function clear(form) {
  form.reset();
  form.hidden = false;
  const said = form.querySelector("[role=alert]");
  if (said) said.hidden = true;
  if (form.dataset.shows) {
    const part = document.getElementById(form.dataset.shows);
    part.hidden = true;
    for (const place of part.querySelectorAll("[data-member]")) place.textContent = "";
  }
  if ("once" in form.dataset) begin(form);
  if (form === reconciling) {
    const place = document.getElementById("unexplained");
    place.querySelector("tbody").replaceChildren();
    place.hidden = true;
  }
}

/** Who sends a form again after no answer came means the same; who changes a field means something else. */
document.addEventListener("input", (event) => begin(event.target.closest("form[data-once]")));

function begin(form) {
  if (form) form.dataset.idempotencyKey = key();
}

/** Text that nobody has used before. Not randomUUID: browsers have that over https alone. */
function key() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const reconciling = document.getElementById("reconcile");

/** Say whose the payments were that the books lack; their refs are no names of fields. */
reconciling?.addEventListener("sending", (event) => {
  const body = event.detail;
  body.provider = reconciling.dataset.provider;
  body.adopt = {};
  body.ours = [];
  for (const row of reconciling.querySelectorAll("tbody tr")) {
    const [whose, own] = row.querySelectorAll("input");
    if (own.checked) body.ours.push(row.dataset.ref);
    else if (whose.value.trim()) body.adopt[row.dataset.ref] = whose.value.trim();
  }
});

async function reconciled(answer) {
  const place = document.getElementById("unexplained");
  place.querySelector("tbody").replaceChildren(...answer.unexplained.map(row));
  place.hidden = answer.unexplained.length === 0;
  if (!place.hidden) {
    showError(reconciling, new Error(`Payments that are yet to be explained: ${answer.unexplained.length}.`));
    return;
  }
  reconciling.closest("dialog").close();
  notice("The books and the wallet agree. Payouts go on.");
  await refresh(["freezes", "payouts"]);
}

/** A payment that the books lack, and fields to say whose it was. */
function row(payment) {
  const made = document.createElement("tr");
  made.dataset.ref = payment.ref;
  const ref = document.createElement("th");
  ref.scope = "row";
  ref.className = "mono small";
  ref.textContent = payment.ref;
  const amount = document.createElement("td");
  amount.className = "number";
  amount.textContent = String(payment.amount_msat / 1000);
  made.append(ref, amount, cell("text", `Whose ${payment.ref} was`), cell("checkbox", `${payment.ref} was our own`));
  return made;
}

function cell(type, label) {
  const place = document.createElement("td");
  const field = document.createElement("input");
  field.type = type;
  field.setAttribute("aria-label", label);
  place.append(field);
  return place;
}
