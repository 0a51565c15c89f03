/** What a model is told besides the conversation. Only what is filled in counts. */

/** `{ system, temperature, ... }` of the form. */
export function readSettings(form) {
  const settings = {};
  for (const field of form.elements) {
    if (!field.name || field.value.trim() === "") continue;
    settings[field.name] = field.type === "number" ? field.valueAsNumber : field.value;
  }
  return settings;
}

/** Fill the form in. */
export function showSettings(form, settings) {
  form.reset();
  for (const [name, value] of Object.entries(settings)) {
    const field = form.elements.namedItem(name);
    if (field) field.value = value;
  }
}

/** Whether what is filled in can be sent. What cannot is pointed at. */
export function checkSettings(form) {
  if (form.checkValidity()) return true;
  form.closest("details").open = true;
  form.reportValidity();
  return false;
}

/** The settings as members of a request; the system prompt is a message. */
export function parametersOf({ system, ...parameters }) {
  return parameters;
}
