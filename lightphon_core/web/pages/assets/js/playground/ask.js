/** One question to the server, and its answer as it comes. */
import { ApiError } from "../api.js";
import { eventsOf } from "./sse.js";

const PATH = "/api/playground/chat";

/**
 * Ask for an answer to `request`, the body of a chat completion. `heard({ text, thinking })` is called with what has come
 * so far. Resolves to how it was served: `{ finish, usage, routing, seconds }`, the last from question to end.
 *
 * Rejects with an `ApiError`, whose `retryAfter` is in seconds or null; with an `AbortError` once `signal` says stop, which
 * frees the node.
 */
export async function ask(request, { signal, heard }) {
  const began = performance.now();
  const answer = await opened(request, signal);
  const served = { finish: null, usage: null, routing: null, seconds: 0 };
  const so_far = { text: "", thinking: "" };
  let ended = false;
  try {
    for await (const data of eventsOf(answer.body)) {
      if (data === "[DONE]") {
        ended = true;
        break;
      }
      const chunk = JSON.parse(data);
      if (chunk.error) throw failed(0, chunk.error);
      const [choice] = chunk.choices;
      served.usage = chunk.usage ?? served.usage;
      served.routing = chunk.routing_info ?? served.routing;
      if (!choice) continue;
      served.finish = choice.finish_reason ?? served.finish;
      so_far.text += choice.delta.content ?? "";
      so_far.thinking += choice.delta.reasoning_content ?? "";
      heard(so_far);
    }
  } catch (error) {
    if (error instanceof ApiError || error.name === "AbortError") throw error;
    throw failed(0, { message: "The connection broke before the answer was complete." });
  }
  if (!ended) throw failed(0, { message: "The answer ended before it was complete." });
  served.seconds = (performance.now() - began) / 1000;
  return served;
}

async function opened(request, signal) {
  let answer;
  try {
    answer = await fetch(PATH, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "text/event-stream" },
      body: JSON.stringify({ ...request, stream: true }),
      redirect: "error",
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw failed(0, { message: "The server did not answer. Check your connection, and try again." });
  }
  if (answer.ok) return answer;
  const read = await answer.json().catch(() => null);
  const error = failed(answer.status, read?.error ?? { message: `The server answered with ${answer.status}.` });
  error.retryAfter = Number(answer.headers.get("retry-after")) || null;
  throw error;
}

function failed(status, fields) {
  return Object.assign(new ApiError(status, fields), { retryAfter: null });
}
