/** /wallet: a deposit is opened, shown without a reload, and followed until it is paid. */
import { refresh } from "./live.js";
import { notice } from "./notice.js";

const OPEN = ["creating", "open"];
const AGAIN_MS = 5000;
const section = () => document.getElementById("deposit-now");
let following = null;

/** Follow the deposit that the page shows, if it shows one that can be paid. */
function follow() {
  following?.close();
  following = null;
  const id = section().dataset.follow;
  if (!id) return;
  const events = new EventSource(`/api/deposits/${id}/events`);
  following = events;
  events.addEventListener("deposit", async (event) => {
    const deposit = JSON.parse(event.data);
    if (OPEN.includes(deposit.status)) return;
    events.close();
    await show(["deposit-now", "balance-card", "open-deposits", "statement"]);
    if (deposit.status === "settled") notice("Paid. It is in your wallet.");
  });
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED && following === events) setTimeout(follow, AGAIN_MS);
  });
}

/** Fetch these parts, and put the focus on the deposit unless somebody is busy elsewhere. */
async function show(parts) {
  const inside = section().contains(document.activeElement) || document.activeElement === document.body;
  if (!(await refresh(parts))) location.reload();
  if (inside) document.getElementById("deposit-title")?.focus();
}

function countDown() {
  for (const each of document.querySelectorAll("[data-until]")) {
    const left = Math.max(0, Number(each.dataset.until) - Date.now() / 1000);
    each.textContent = left >= 90 ? ` (${Math.round(left / 60)} minutes left)` : ` (${Math.round(left)} seconds left)`;
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-fill]");
  if (button) document.getElementById(button.dataset.fill).value = button.dataset.amount;
});

document.addEventListener("done", async (event) => {
  if (!event.target.matches("[data-deposit]")) return;
  history.pushState(null, "", `/wallet?deposit=${event.detail.id}`);
  document.activeElement.blur();
  await show(["deposit-now", "open-deposits"]);
  follow();
});

document.addEventListener("replaced", (event) => {
  if (event.target.id === "balance-card") {
    document.getElementById("balance").textContent = event.target.dataset.available;
    document.getElementById("balance-low").hidden = !("low" in event.target.dataset);
  }
  countDown();
});

window.addEventListener("popstate", async () => {
  await show(["deposit-now", "open-deposits"]);
  follow();
});

follow();
countDown();
setInterval(countDown, 1000);
