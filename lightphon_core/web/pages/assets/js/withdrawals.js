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

document.addEventListener("done", async (event) => {
  if (event.target.matches("[data-automatic]")) {
    document.activeElement.blur();
    await refresh(["automatic", "room"]);
    notice("Saved.");
  }
});
