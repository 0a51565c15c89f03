/** Light and dark. The choice is a cookie, so that the server's next page has it from the first moment. */
const YEAR_S = 365 * 24 * 60 * 60;

/** Have the button in the top bar change from what is shown now to the other. */
export function startTheme() {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const show = () => button.setAttribute("aria-pressed", String(dark()));
  button.addEventListener("click", () => {
    const theme = dark() ? "light" : "dark";
    root.dataset.theme = theme;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `lightphon_theme=${theme}; Path=/; Max-Age=${YEAR_S}; SameSite=Lax${secure}`;
    show();
  });
  system.addEventListener("change", show);
  show();
}
