// What the official SDK for Node makes of LightPhon. Prints one JSON object for test_npm.py to check.
import OpenAI from "openai";

const { URL, KEY, IMAGE } = process.env;
let requests = 0;
const counted = (...request) => {
  requests += 1;
  return fetch(...request);
};
const client = new OpenAI({ baseURL: `${URL}/v1`, apiKey: KEY, maxRetries: 2, fetch: counted });
const messages = [{ role: "user", content: "Hi" }];
const tools = [{
  type: "function",
  function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
}];
const ask = (model, more = {}, by = client) => by.chat.completions.create({ model, messages, temperature: 0, ...more });

const whole = await ask("greeting");

let streamed = "";
let last;
for await (const chunk of await ask("greeting", { stream: true })) {
  streamed += chunk.choices[0].delta.content || "";
  last = chunk;
}

const call = (await ask("auto", { tools })).choices[0];

const helper = client.chat.completions.stream({ model: "tool_call", messages, tools, temperature: 0 });
const assembled = (await helper.finalChatCompletion()).choices[0];

const plain = { model: "greeting", prompt: "Once", temperature: 0 };
const text = await client.completions.create(plain);
let streamedText = "";
for await (const chunk of await client.completions.create({ ...plain, stream: true })) {
  streamedText += chunk.choices[0].text;
}

const parts = [{ type: "text", text: "What is it?" }, { type: "image_url", image_url: { url: IMAGE } }];
const seen = await ask("seeing", { messages: [{ role: "user", content: parts }] });
const blind = await ask("seeing", { messages: [{ role: "user", content: parts.slice(0, 1) }] });

// The SDK asks for base64 unless told otherwise, and decodes it.
const embed = (more = {}) => client.embeddings.create({ model: "embedder", input: ["a text", "another"], ...more });
const vectors = (await embed()).data.map((each) => each.embedding);
const numbers = (await embed({ encoding_format: "float" })).data.map((each) => each.embedding);
const apart = vectors.flatMap((vector, at) => vector.map((value, i) => Math.abs(value - numbers[at][i])));

async function failure(work) {
  try {
    await work();
    return { class: "none" };
  } catch (error) {
    return { class: error.constructor.name, status: error.status, code: error.code };
  }
}

requests = 0;
const slow = await failure(() => ask("slow"));
const slowRequests = requests;

const models = [];
for await (const model of client.models.list()) models.push(model.id);

console.log(JSON.stringify({
  whole: { content: whole.choices[0].message.content, finish: whole.choices[0].finish_reason, usage: whole.usage },
  streamed: { content: streamed, finish: last.choices[0].finish_reason, usage: last.usage },
  call: { finish: call.finish_reason, function: call.message.tool_calls[0].function },
  assembled: { finish: assembled.finish_reason, function: assembled.message.tool_calls[0].function },
  text: { content: text.choices[0].text, streamed: streamedText, usage: text.usage },
  vectors: { widths: vectors.map((each) => each.length), apart: Math.max(...apart) },
  image: { content: seen.choices[0].message.content, tokens: seen.usage.prompt_tokens - blind.usage.prompt_tokens },
  key: await failure(() => ask("greeting", {}, new OpenAI({ baseURL: `${URL}/v1`, apiKey: "sk-wrong" }))),
  model: await failure(() => ask("gpt-9")),
  body: await failure(() => ask("greeting", { messages: [] })),
  slow,
  slowRequests,
  models,
}));
