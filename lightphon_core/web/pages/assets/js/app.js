/** What every page does. */
import { api } from "./api.js";
import { startCopying } from "./copy.js";
import { startForms } from "./forms.js";
import { startLive } from "./live.js";
import { notice } from "./notice.js";
import { startTheme } from "./theme.js";
import { showTimes } from "./times.js";

startTheme();
startCopying();
startForms();
startLive();
showTimes(document);

document.getElementById("log-out")?.addEventListener("click", async () => {
  try {
    await api("POST", "/api/account/logout");
    location.assign("/");
  } catch (error) {
    notice(error.message, "bad");
  }
});

document.addEventListener("click", (event) => {
  event.target.closest("[data-close]")?.closest("dialog")?.close();
});
