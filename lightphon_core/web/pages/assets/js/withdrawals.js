/** /wallet/withdrawals: what was asked for shows at once, and a request that is sent again pays nothing twice. */
import { refresh } from "./live.js";
import { notice } from "./notice.js";

const form = document.getElementById("withdraw");

/** Another withdrawal from now on; the same one keeps its key, however often it is sent. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  form.dataset.idempotencyKey = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

if (form) {
  newKey();
  form.addEventListener("input", newKey);
  form.addEventListener("done", async () => {
    form.reset();
    newKey();
    notice("It is on its way. Below you see how it stands.");
    await refresh(["room", "payouts"]);
  });
}

/** The states on the page, by payout. */
function states() {
  return new Map([...document.querySelectorAll("[data-payout]")].map((row) => [row.dataset.payout, row.dataset.state]));
}

let known = states();

document.addEventListener("replaced", (event) => {
  if (event.target.id !== "payouts") return;
  const now = states();
  for (const [id, state] of now) {
    const changed = known.has(id) && known.get(id) !== state;
    if (changed && state === "paid") notice("A withdrawal was paid.");
    if (changed && state === "failed") notice("A withdrawal failed. Below you see why.", "bad");
  }
  known = now;
});

document.addEventListener("done", async (event) => {
  if (event.target.matches("[data-automatic]")) {
    document.activeElement.blur();
    await refresh(["automatic", "room"]);
    notice("Saved.");
  }
});
