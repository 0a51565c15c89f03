/** The Model Router: filters that act at once, a model for the snippets, and keys, which only this page's memory has. */
import { refresh } from "./live.js";
import { notice } from "./notice.js";
import { startTabs } from "./tabs.js";

const PAUSE_MS = 300;
const filters = document.getElementById("filters");
const made = { key: null, token: null };

/* On a small screen the ranking comes first, unless somebody has chosen filters. */
if (matchMedia("(width < 75rem)").matches && !location.search) document.getElementById("filters-box").open = false;

/* Filters and the model: the address is changed at once, what depends on it a moment later. */

const parts = () => ["ranking", "chosen", "try", ...[...document.querySelectorAll("[data-snippets]")].map((each) => each.id)];
let waiting = 0;

function changed(pause) {
  const chosen = new URLSearchParams();
  for (const [name, value] of new FormData(filters)) if (value.trim()) chosen.append(name, value.trim());
  const query = chosen.toString();
  history.replaceState(null, "", query ? `${location.pathname}?${query}` : location.pathname);
  clearTimeout(waiting);
  waiting = setTimeout(update, pause);
}

async function update() {
  const asked = location.href;
  document.getElementById("ranking").setAttribute("aria-busy", "true");
  const done = await refresh(parts());
  document.getElementById("ranking").removeAttribute("aria-busy");
  if (!done) notice("The server did not answer. Check your connection; the ranking is as it was.", "warn");
  else if (asked !== location.href) update();
  showFields();
}

/** Mark the field that the server found wrong. */
function showFields() {
  const wrong = document.getElementById("ranking").dataset.wrong;
  for (const field of filters.elements) {
    if (field.name) field.toggleAttribute("aria-invalid", false);
    if (wrong && field.name === wrong) field.setAttribute("aria-invalid", "true");
  }
}

filters.addEventListener("input", () => changed(PAUSE_MS));
filters.addEventListener("submit", (event) => {
  event.preventDefault();
  changed(0);
});
document.getElementById("clear-filters").addEventListener("click", (event) => {
  event.preventDefault();
  for (const field of filters.elements) {
    if (field.type === "checkbox") field.checked = false;
    else if (field.name && field.name !== "use") field.value = "";
  }
  changed(0);
});

document.addEventListener("click", (event) => {
  const chosen = event.target.closest("[data-use]");
  if (!chosen || event.target.closest("a, summary") || String(getSelection())) return;
  filters.elements.use.value = chosen.dataset.use;
  changed(0);
});

/* What changes by itself is said once, when it says something else. */

const said = document.getElementById("ranking-said");
document.addEventListener("replaced", (event) => {
  if (event.target.id === "ranking") {
    const words = event.target.dataset.said;
    if (said.textContent !== words) said.textContent = words;
    // The model that was chosen may have left, or come back.
    if (event.target.dataset.model !== document.getElementById("chosen").dataset.model) changed(PAUSE_MS);
  }
  fill(event.target);
});

/* The secrets that were made here, in the snippets. */

function fill(root) {
  for (const [slot, secret] of Object.entries(made)) {
    if (secret) for (const place of root.querySelectorAll(`[data-slot="${slot}"]`)) place.textContent = secret;
  }
}

const by = document.getElementById("by");
function showBy(value) {
  by.dataset.by = value;
  by.querySelector(`[name=by][value="${value}"]`).checked = true;
}
by.addEventListener("change", (event) => {
  if (event.target.name === "by") showBy(event.target.value);
});
showBy(by.querySelector("[name=by]:checked").value);
startTabs(by.querySelector("[role=tablist]"));

/* Keys */

const dialog = document.getElementById("key-dialog");
const form = document.getElementById("key-form");
const madePart = document.getElementById("made");
const route = () => document.getElementById("chosen").dataset.route;

document.getElementById("new-key").addEventListener("click", () => {
  form.reset();
  form.querySelector("[role=alert]").hidden = true;
  form.hidden = false;
  madePart.hidden = true;
  document.getElementById("key-route").hidden = !route();
  document.getElementById("key-route-text").textContent = route();
  dialog.showModal();
});

form.addEventListener("sending", (event) => {
  const body = event.detail;
  delete body.kind;
  const wanted = document.getElementById("key-has-route").checked;
  if (wanted && route()) body.route = JSON.parse(route());
});

form.addEventListener("change", (event) => {
  if (event.target.name === "kind") form.dataset.api = `POST /api/${event.target.value}`;
});
form.addEventListener("reset", () => (form.dataset.api = "POST /api/keys"));

form.addEventListener("done", (event) => {
  const { secret, path } = event.detail;
  const kind = path ? "token" : "key";
  made[kind] = secret;
  fill(document);
  showBy(kind);
  document.getElementById("secret-hint").hidden = true;
  document.getElementById("made-secret").textContent = secret;
  document.getElementById("made-address").hidden = !path;
  document.getElementById("made-base").textContent = path ? `${dialog.dataset.origin}${path}/v1` : "";
  form.hidden = true;
  madePart.hidden = false;
  document.getElementById("made-title").focus();
  refresh(["keys"]);
});
dialog.addEventListener("close", () => {
  for (const id of ["made-secret", "made-base"]) document.getElementById(id).textContent = "";
});

const editDialog = document.getElementById("edit-dialog");
const editForm = document.getElementById("edit-form");
const revokeDialog = document.getElementById("revoke-dialog");
const revokeForm = document.getElementById("revoke-form");

document.addEventListener("click", (event) => {
  const edit = event.target.closest("[data-edit]");
  const revoke = event.target.closest("[data-revoke]");
  if (edit) {
    editForm.dataset.api = `PATCH ${edit.dataset.edit}`;
    editForm.elements.name.value = edit.dataset.name;
    for (const period of ["day", "month", "total"]) editForm.elements[`budgets.${period}`].value = edit.dataset[period];
    editForm.querySelector("[role=alert]").hidden = true;
    editDialog.showModal();
  } else if (revoke) {
    revokeForm.dataset.api = `DELETE ${revoke.dataset.revoke}`;
    document.getElementById("revoke-name").textContent = `${revoke.dataset.name} (…${revoke.dataset.hint})`;
    document.getElementById("revoke-last").textContent = revoke.dataset.last;
    revokeForm.querySelector("[role=alert]").hidden = true;
    revokeDialog.showModal();
  }
});

editForm.addEventListener("sending", (event) => {
  event.detail.name ??= ""; // what was emptied is meant to be empty
  event.detail.budgets ??= {};
});
editForm.addEventListener("done", () => ended(editDialog, "Saved."));
revokeForm.addEventListener("done", () => ended(revokeDialog, "Revoked. It opens nothing any more."));

async function ended(open, words) {
  open.close();
  await refresh(["keys"]);
  notice(words);
}
