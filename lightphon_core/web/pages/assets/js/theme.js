/** Light and dark. The choice is a cookie, so that the server's next page has it from the first moment. */
const YEAR_S = 365 * 24 * 60 * 60;

/** Have the button in the top bar change from what is shown now to the other. */
export function startTheme() {
  const button = document.getElementById("theme");
  const dark = () => getComputedStyle(document.documentElement).colorScheme === "dark" || (!chosen() && systemIsDark());
  const chosen = () => document.documentElement.dataset.theme;
  const systemIsDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
  const show = () => button.setAttribute("aria-pressed", String(dark()));
  button.addEventListener("click", () => {
    const theme = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `lightphon_theme=${theme}; Path=/; Max-Age=${YEAR_S}; SameSite=Lax${secure}`;
    show();
  });
  show();
}
