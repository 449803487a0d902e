// Shows: an order from a service in Node that uses nothing but HTTP: submit once, follow the job's events, read the numbers.
//
// Run it beside `didflow up`:   node examples/http_order.mjs order-node-1
// Elsewhere:                    DIDFLOW_HTTP_URL=https://didflow.example.net DIDFLOW_HTTP_KEY=dfk_… node examples/http_order.mjs order-node-1
//
// Needs Node 18 or newer, and no package.

const base = process.env.DIDFLOW_HTTP_URL ?? "http://127.0.0.1:8780";
const key = process.env.DIDFLOW_HTTP_KEY;
const order = process.argv[2] ?? "order-node-1";

const authorization = key ? { Authorization: `Bearer ${key}` } : {};

// An answer that was lost, 429 and 503 are repeated: with the same Idempotency-Key nothing is bought twice.
async function send(path, options = {}) {
  for (let tries = 1; ; tries++) {
    let answer;
    try {
      answer = await fetch(base + path, { ...options, headers: { ...authorization, ...options.headers } });
    } catch (error) {
      if (tries === 5) {
        console.error(`${base} doesn't answer (${error.cause?.code ?? error.message}): is \`didflow up\` running?`);
        process.exit(1);
      }
      await pause(tries);
      continue;
    }
    if (answer.ok) return answer;
    const problem = await answer.json();
    if (!problem.retryable || tries === 5) {
      console.error(`${problem.code}: ${problem.detail}`);
      process.exit(1);
    }
    await pause(Number(answer.headers.get("retry-after") ?? tries));
  }
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

const submitted = await send("/v1/jobs/search-and-buy", {
  method: "POST",
  headers: { "Content-Type": "application/json", "Idempotency-Key": order },
  body: JSON.stringify({ request: { country: "US", city: "LOS ANGELES, CA", quantity: 2 }, reference: "customer-9" }),
});
const job = await submitted.json();
console.log(`job ${job.id} is ${job.state}${submitted.headers.get("idempotency-replayed") ? " (submitted before)" : ""}`);

// The stream ends behind the job's last event. A service that runs for long continues with Last-Event-ID.
const events = await send(`/v1/jobs/${job.id}/events`);
let text = "";
for await (const chunk of events.body.pipeThrough(new TextDecoderStream())) {
  text += chunk;
  const messages = text.split("\n\n");
  text = messages.pop();
  for (const message of messages) {
    const data = message.split("\n").find((line) => line.startsWith("data: "));
    if (data) console.log(`  ${JSON.parse(data.slice(6)).type ?? "as it is"}`);
  }
}

const ended = await (await send(`/v1/jobs/${job.id}`)).json();
console.log(`${ended.state}, ${ended.result.totals.charged_usd} USD charged`);
for (const number of (await (await send(`/v1/jobs/${job.id}/numbers`)).json()).numbers) {
  console.log(`  ${number.number} ${number.outcome}`);
}
