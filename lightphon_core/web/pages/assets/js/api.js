/** The JSON API, by the session's cookie. What needs a recent password asks for it, and then goes on. */
import { askForPassword } from "./password.js";

/** An answer that is an error; `status`, and `code` and `param` as OpenAI's errors have them. */
export class ApiError extends Error {
  constructor(status, { message, code = null, param = null }) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = param;
  }
}

/**
 * Ask for `path`, with `body` as JSON if there is one, and these headers besides. Resolves to the answer's JSON; rejects
 * with an `ApiError`.
 */
export async function api(method, path, body = undefined, headers = {}) {
  try {
    return await ask(method, path, body, headers);
  } catch (error) {
    if (error.code !== "password_required") throw error;
    await askForPassword((password) => logIn(password));
    return await ask(method, path, body, headers);
  }
}

function logIn(password) {
  return ask("POST", "/api/account/login", { name: document.body.dataset.account, password });
}

async function ask(method, path, body, headers = {}) {
  const sent = { method, headers: { accept: "application/json", ...headers }, redirect: "error" };
  if (body !== undefined) {
    sent.headers["content-type"] = "application/json";
    sent.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, sent);
  } catch {
    throw new ApiError(0, { message: "The server did not answer. Check your connection, and try again." });
  }
  const read = await answer.json().catch(() => null);
  if (answer.ok) return read;
  if (answer.status === 401 && read?.error?.code === "not_logged_in") {
    location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  }
  throw new ApiError(answer.status, read?.error ?? { message: `The server answered with ${answer.status}.` });
}
