// What Continue's own library makes of the config.yaml in docs/clients.md, each model in its role. Prints one JSON
// object for test_node.py to check. Like Continue itself, it adds the slash at the end of an apiBase.
import { readFileSync } from "node:fs";
import { parseConfigYaml } from "@continuedev/config-yaml";
import { constructLlmApi } from "@continuedev/openai-adapters";

const { models } = parseConfigYaml(readFileSync("config.yaml", "utf8"));
const signal = new AbortController().signal;
const of = (role) => models.find((model) => model.roles.includes(role));
const api = ({ provider, apiKey, apiBase }) =>
  constructLlmApi({ provider, apiKey, apiBase: apiBase.endsWith("/") ? apiBase : `${apiBase}/` });

async function collected(stream) {
  let text = "";
  let finish = null;
  let usage = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    finish = chunk.choices[0]?.finish_reason ?? finish;
    usage = chunk.usage ?? usage;
  }
  return { text, finish, usage };
}

const messages = [{ role: "user", content: "Hi" }];
const chat = of("chat");
const coder = of("autocomplete");
const embedder = of("embed");
const infill = { prompt: "def f(", suffix: ")\n", max_tokens: 64, temperature: 0, stream: true };
const vectors = await api(embedder).embed({ model: embedder.model, input: ["a", "b"] });

console.log(JSON.stringify({
  chat: await collected(api(chat).chatCompletionStream({ model: chat.model, messages, stream: true }, signal)),
  infill: await collected(api(coder).fimStream({ model: coder.model, ...infill }, signal)),
  listed: (await api(chat).list()).map((model) => model.id),
  vectors: vectors.data.map((each) => each.embedding.length),
}));
