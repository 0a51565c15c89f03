/** Who gave an answer, how fast, and for how much, in words. */
const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

/** What is kept of how an answer was served. */
export function servedBy({ finish, usage, routing, seconds: took }) {
  const first = routing.ttft_ms / 1000;
  return {
    model: routing.model,
    node: routing.node_name,
    prompt: usage.prompt_tokens,
    tokens: usage.completion_tokens,
    speed: usage.completion_tokens / Math.max(took - first, 0.001),
    first,
    cost: usage.cost,
    finish,
  };
}

/** The same as short lines. */
export function inWords({ model, node, prompt, tokens, speed, first, cost }) {
  return [
    `${model} on ${node}`,
    `${tokens} tokens (prompt: ${prompt})`,
    `${number.format(speed)} tokens/s`,
    `first token after ${first < 1 ? `${number.format(first * 1000)} ms` : `${number.format(first)} s`}`,
    cost === "0" ? "free" : `${cost} ${cost === "1" ? "sat" : "sats"}`,
  ];
}
