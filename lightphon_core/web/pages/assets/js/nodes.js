/** /nodes: a token and its command, shown once; then the node appears by itself. Prices, and tokens that are revoked. */
import { refresh } from "./live.js";
import { notice } from "./notice.js";

const PARTS = ["income", "nodes", "tokens"];
const PRICE_PARTS = ["per_minute", "per_mtok_prompt", "per_mtok_completion", "per_request"];
const PLAIN = /^[\w@%+=:,./-]+$/;

/** A word as a shell reads it back. */
const quoted = (word) => (PLAIN.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`);

/** What to paste: a setup's command with everything in its place. */
function commandOf(setup, token) {
  const { command, tokenHere, modelHere } = setup.dataset;
  const serves = setup.querySelector("[data-serves]");
  const model = serves ? quoted(serves.value.trim() || serves.defaultValue) : "";
  return command.replace(tokenHere, () => token).replace(modelHere, () => model);
}

function showCommand(setup, made) {
  const shown = setup.querySelector("[data-command-shown]");
  shown.querySelector("code").textContent = commandOf(setup, made.secret);
  shown.dataset.awaits = made.id;
  shown.querySelector("[data-waiting]").textContent = "Waiting for the node to connect …";
  setup.querySelector("[data-add]").hidden = true;
  shown.hidden = false;
  shown.focus();
}

function hideCommand(setup) {
  const shown = setup.querySelector("[data-command-shown]");
  shown.querySelector("code").textContent = "";
  delete shown.dataset.awaits;
  shown.hidden = true;
  const form = setup.querySelector("[data-add]");
  form.reset();
  form.hidden = false;
  form.querySelector("input").focus();
}

/** The names of the nodes that are connected, by their ids. */
const connected = () =>
  new Map([...document.querySelectorAll(".node[data-node]")].map((node) => [node.dataset.node, node.dataset.name]));

let known = connected();

/** Say which nodes have come and gone. */
function lookForChanges() {
  const now = connected();
  for (const [id, name] of now) if (!known.has(id)) notice(`${name} is connected.`);
  for (const [id, name] of known) if (!now.has(id)) notice(`${name} is no longer connected.`, "warn");
  known = now;
}

/** Say so where a node has come that is waited for. */
function lookForNode() {
  for (const shown of document.querySelectorAll("[data-awaits]")) {
    const node = document.querySelector(`.node[data-token="${CSS.escape(shown.dataset.awaits)}"]`);
    if (!node) continue;
    const ready = node.dataset.state === "online";
    const said = ready
      ? `${node.dataset.name} is connected, and takes requests.`
      : `${node.dataset.name} is connected. Its models are being made ready …`;
    const place = shown.querySelector("[data-waiting]");
    if (place.textContent !== said) place.textContent = said;
  }
}

function openPrice(button) {
  const dialog = document.getElementById("price-dialog");
  const { price: node, model, nodeName, own } = button.dataset;
  const path = `/api/nodes/${encodeURIComponent(node)}/price`;
  const [set, remove] = dialog.querySelectorAll("form");
  dialog.querySelector("[data-which]").textContent = `${model}, on ${nodeName}`;
  set.dataset.api = `PUT ${path}`;
  set.elements.model.value = model;
  for (const part of PRICE_PARTS) {
    const msat = Number(button.getAttribute(`data-${part.replaceAll("_", "-")}`));
    set.elements[part].value = msat ? String(msat / 1000) : "";
  }
  remove.dataset.api = `DELETE ${path}?model=${encodeURIComponent(model)}`;
  remove.hidden = own !== "yes";
  open(dialog);
}

function openRevoke(button) {
  const dialog = document.getElementById("revoke-dialog");
  const { revoke, tokenName, tokenNodes } = button.dataset;
  dialog.querySelector("form").dataset.api = `DELETE /api/node-tokens/${encodeURIComponent(revoke)}`;
  dialog.querySelector("[data-which]").textContent = `${tokenName}:`;
  dialog.querySelector("[data-effect]").textContent =
    tokenNodes === "0" ? "no node is connected with it now." : "its node is disconnected at once.";
  open(dialog);
}

function open(dialog) {
  for (const said of dialog.querySelectorAll("[role=alert]")) said.hidden = true;
  dialog.showModal();
}

document.addEventListener("click", (event) => {
  const price = event.target.closest("[data-price]");
  if (price) openPrice(price);
  const revoke = event.target.closest("[data-revoke]");
  if (revoke) openRevoke(revoke);
  const done = event.target.closest("[data-done]");
  if (done) hideCommand(done.closest("[data-setup]"));
});

document.addEventListener("done", async (event) => {
  const form = event.target;
  if (form.matches("[data-add]")) showCommand(form.closest("[data-setup]"), event.detail);
  else if (form.closest("#revoke-dialog")) notice("The token is revoked.");
  else if (form.id === "price-set") notice("The price is set.");
  else if (form.id === "price-remove") notice("Your price is removed.");
  form.closest("dialog")?.close();
  await refresh(PARTS);
});

document.addEventListener("replaced", () => {
  lookForChanges();
  lookForNode();
});
