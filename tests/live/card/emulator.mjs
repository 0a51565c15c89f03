// A Stripe with hosted pages and signed webhooks, on loopback, until its input ends. Prints its address.
const [folder, port, url, secret] = process.argv.slice(2);
const { createEmulator } = await import(`${folder}/node_modules/emulate/dist/api.js`);
const seed = { stripe: { webhooks: [{ url, events: ["*"], secret }] } };
const emulator = await createEmulator({ service: "stripe", port: Number(port), seed });
console.log(emulator.url);
process.stdin.on("end", () => process.exit(0)).resume();
