/** The dialog in base.html that asks for the password anew. */

/** Ask until `accept(password)` resolves. Rejects if the visitor thinks better of it. */
export function askForPassword(accept) {
  const dialog = document.getElementById("password-dialog");
  const form = dialog.querySelector("form");
  const field = form.elements.password;
  const said = form.querySelector("[role=alert]");
  return new Promise((resolve, reject) => {
    const submitted = async (event) => {
      event.preventDefault();
      try {
        await accept(field.value);
        dialog.close("accepted");
      } catch (error) {
        said.textContent = error.message;
        said.hidden = false;
        field.select();
      }
    };
    const closed = () => {
      form.removeEventListener("submit", submitted);
      field.value = "";
      if (dialog.returnValue === "accepted") resolve();
      else reject(new Error("This needs your password. Nothing was changed."));
    };
    said.hidden = true;
    dialog.returnValue = "";
    form.addEventListener("submit", submitted);
    dialog.addEventListener("close", closed, { once: true });
    dialog.showModal();
  });
}
