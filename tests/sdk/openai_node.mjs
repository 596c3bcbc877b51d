// The official OpenAI Node SDK, unchanged, against the gateway in front of the stand-ins.
//
//     node openai_node.mjs GROUP
//
// GROUP, environment and output are those of openai_python.py.

import OpenAI from "openai";

const baseURL = process.env.GALLERIST_BASE_URL;
const apiKey = process.env.GALLERIST_API_KEY;
const adminKey = process.env.GALLERIST_ADMIN_KEY;
const fakes = JSON.parse(process.env.GALLERIST_FAKES);

let failures = 0;

function client(options = {}) {
  return new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 120_000, ...options });
}

/** A client with the SDK's own retries, and the list of requests that it sends. */
function countingClient(options = {}) {
  const sent = [];
  const counted = (url, options) => {
    sent.push(String(url));
    return fetch(url, options);
  };
  return [new OpenAI({ baseURL, apiKey, maxRetries: 2, timeout: 120_000, fetch: counted, ...options }), sent];
}

async function fake(kind, method, path, body) {
  const answer = await fetch(`${fakes[kind]}/_fake/${path}`, {
    method,
    headers: { "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  check(answer.ok, `${method} ${path} of ${kind}: ${answer.status}`);
  const text = await answer.text();
  return text ? JSON.parse(text) : undefined;
}

async function faultEverywhere(name) {
  for (const kind of Object.keys(fakes)) {
    await fake(kind, "PUT", "faults", [{ fault: name, probability: 1.0 }]);
  }
}

/** Entries of each stand-in's own bill. */
async function bills() {
  const counts = {};
  for (const kind of Object.keys(fakes)) {
    counts[kind] = (await fake(kind, "GET", "bill")).entries.length;
  }
  return counts;
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Entries of OpenAI's stand-in's bill, once nothing is added to it any more. */
async function settledBill() {
  for (let before; ; ) {
    const after = (await bills()).openai;
    if (after === before) return after;
    before = after;
    await sleep(500);
  }
}

function check(condition, complaint) {
  if (!condition) throw new Error(complaint);
}

/** Size of a PNG by its header, as `1024x1024`. */
function sizeOfPng(encoded) {
  const bytes = Buffer.from(encoded, "base64");
  check(bytes.subarray(1, 4).toString() === "PNG", "no PNG");
  check(bytes.subarray(-8, -4).toString() === "IEND", "the PNG has no end");
  return `${bytes.readUInt32BE(16)}x${bytes.readUInt32BE(20)}`;
}

/** First bytes of each format. */
const SIGNATURES = {
  png: (bytes) => bytes.subarray(1, 4).toString() === "PNG",
  jpeg: (bytes) => bytes.readUInt16BE(0) === 0xffd8,
  webp: (bytes) => bytes.subarray(8, 12).toString() === "WEBP",
};

/** The error that `call` raises, which must be exactly of the SDK's class `kind`. */
async function raises(kind, call, wanted = {}) {
  let error;
  try {
    await call();
  } catch (raised) {
    error = raised;
  }
  check(error, `no ${kind.name}`);
  check(error.constructor === kind, `${error.constructor.name} instead of ${kind.name}: ${error.message}`);
  for (const [name, value] of Object.entries(wanted)) {
    check(error[name] === value, `${name} is ${error[name]}, not ${value}: ${error.message}`);
  }
  return error;
}

async function test(name, run) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    failures += 1;
    const reason = String(error.message).replaceAll(/\s+/g, " ").slice(0, 400);
    console.log(`FAIL ${name}: ${error.constructor.name}: ${reason}`);
  }
}

async function models() {
  const names = [];
  for await (const model of client().models.list()) names.push(model.id);
  return names;
}

async function streamingModel() {
  const model = (await models()).find((name) => name.startsWith("gpt-image-2"));
  check(model, "no gpt-image-2 model is listed");
  return model;
}

async function surface() {
  const generate = (body, options) => client().images.generate(body, options);

  await test("one picture", async () => {
    const answer = await generate({ model: "auto", prompt: "a red kite over a hill", size: "1024x1024" });
    check(answer.data.length === 1, `${answer.data.length} pictures`);
    check(sizeOfPng(answer.data[0].b64_json) === "1024x1024", "another size");
    check(Number(answer.gallerist.cost.charged_usd) > 0, "no cost");
  });
  await test("n=4, all different", async () => {
    const answer = await generate({ model: "auto", prompt: "four kites", n: 4, size: "1024x1024" });
    check(answer.data.length === 4, `${answer.data.length} pictures`);
    check(new Set(answer.data.map((item) => item.b64_json)).size === 4, "two pictures are the same");
  });
  for (const size of ["1024x1024", "1536x1024", "1024x1536"]) {
    await test(`size ${size}`, async () => {
      const answer = await generate({ model: "auto", prompt: "a kite of a certain size", size });
      const actual = sizeOfPng(answer.data[0].b64_json);
      check(actual === size, `${actual} instead of ${size}`);
    });
  }
  for (const [format, fits] of Object.entries(SIGNATURES)) {
    await test(`format ${format}`, async () => {
      const model = await streamingModel();
      const answer = await generate({ model, prompt: "a kite", output_format: format });
      check(fits(Buffer.from(answer.data[0].b64_json, "base64")), "another format");
    });
  }
  await test("response_format url", async () => {
    const body = { model: "auto", prompt: "a kite to be fetched", response_format: "url", size: "1024x1024" };
    const answer = await generate(body);
    const fetched = await fetch(answer.data[0].url);
    check(fetched.ok, `the address answers ${fetched.status}`);
    const size = sizeOfPng(Buffer.from(await fetched.arrayBuffer()).toString("base64"));
    check(size === "1024x1024", size);
  });
  await test("stream of a model that does not stream", async () => {
    const isOther = (name) => name !== "auto" && !name.startsWith("gpt-image") && !name.includes("/");
    const model = (await models()).find(isOther);
    check(model, "only OpenAI's models are listed");
    const events = [];
    for await (const event of await generate({ model, prompt: "a kite, not streamed by its maker", stream: true })) {
      events.push(event);
    }
    check(events.map((event) => event.type).join() === "image_generation.completed", `${events.length} events`);
    sizeOfPng(events[0].b64_json);
  });
  await test("stream with partial images", async () => {
    const model = await streamingModel();
    const body = { model, prompt: "a kite, streamed", stream: true, partial_images: 2, size: "1024x1024" };
    const events = [];
    for await (const event of await generate(body)) events.push(event);
    const kinds = events.map((event) => event.type);
    check(kinds.at(-1) === "image_generation.completed", kinds.join());
    check(kinds.includes("image_generation.partial_image"), kinds.join());
    check(events.every((event) => sizeOfPng(event.b64_json) === "1024x1024"), "another size");
  });
  await test("models", async () => {
    const names = await models();
    check(names.includes("auto") && names.length >= 8, names.join());
    check((await client().models.retrieve("auto")).id === "auto", "auto cannot be retrieved");
  });
  await test("headers", async () => {
    const body = { model: "auto", prompt: "a kite with headers" };
    const { response } = await client().images.generate(body).withResponse();
    for (const name of ["request-id", "provider", "model", "cost-usd", "cost-basis", "attempts"]) {
      check(response.headers.get(`x-gallerist-${name}`), `no header x-gallerist-${name}`);
    }
  });
  await test("idempotency key", async () => {
    const options = { headers: { "Idempotency-Key": "node-1" } };
    const first = await generate({ model: "auto", prompt: "once" }, options);
    const before = await bills();
    const again = await generate({ model: "auto", prompt: "once" }, options);
    check(first.data[0].b64_json === again.data[0].b64_json, "another picture");
    check(JSON.stringify(await bills()) === JSON.stringify(before), "it was bought again");
    const wanted = { status: 422, code: "idempotency_key_reused" };
    const other = () => generate({ model: "auto", prompt: "something else" }, options);
    await raises(OpenAI.UnprocessableEntityError, other, wanted);
  });
}

async function errors() {
  const generate = (fields) => () => client().images.generate({ model: "auto", prompt: "a kite", ...fields });
  const before = JSON.stringify(await bills());
  const badRequests = { size: { size: "12x" }, n: { n: 100_000 }, prompt: { prompt: "" }, sise: { sise: "1024x1024" } };
  for (const [param, fields] of Object.entries(badRequests)) {
    await test(`400 ${param}`, () => raises(OpenAI.BadRequestError, generate(fields), { status: 400, param }));
  }
  await test("401 unknown key", () => {
    const call = () => client({ apiKey: "sk-of-nobody" }).images.generate({ model: "auto", prompt: "x" });
    return raises(OpenAI.AuthenticationError, call, { status: 401, code: "invalid_api_key" });
  });
  const notFound = { status: 404, code: "model_not_found" };
  await test("404 unknown model", () => raises(OpenAI.NotFoundError, generate({ model: "no-such-model" }), notFound));
  await test("404 unknown model retrieved", () =>
    raises(OpenAI.NotFoundError, () => client().models.retrieve("no-such-model"), notFound));
  await test("422 too dear", () => {
    const fields = { gallerist: { max_cost_usd: "0.0000001" } };
    const wanted = { status: 422, code: "cost_limit_exceeded" };
    return raises(OpenAI.UnprocessableEntityError, generate(fields), wanted);
  });
  await test("422 nobody can", () => {
    const fields = { gallerist: { loras: [{ id: "kite", weight: 0.8 }] } };
    return raises(OpenAI.UnprocessableEntityError, generate(fields), { status: 422, code: "no_offer" });
  });
  await test("errors cost nothing", async () => {
    const after = JSON.stringify(await bills());
    check(after === before, `${before} became ${after}`);
  });
  await test("400 moderation", async () => {
    await faultEverywhere("moderation");
    await raises(OpenAI.BadRequestError, generate({}), { status: 400, code: "moderation_blocked" });
  });
}

/** Errors about who asks, how much, and what there is already. */
async function accounts() {
  const admin = client({ apiKey: adminKey });
  const before = JSON.stringify(await bills());
  await test("402 beyond the cap", async () => {
    await admin.post("/projects", { body: { id: "node-poor", cap_usd: "0.0001" } });
    const { key } = await admin.post("/keys", { body: { project: "node-poor", name: "poor" } });
    const [retrying, sent] = countingClient({ apiKey: key });
    const model = await streamingModel();
    const call = () => retrying.images.generate({ model, prompt: "a kite beyond the means" });
    // The SDK has no class for 402: its plain error is raised.
    await raises(OpenAI.APIError, call, { status: 402, code: "budget_exceeded" });
    check(sent.length === 1, `the SDK sent ${sent.length} requests`);
  });
  await test("413 a body of 9 MiB", async () => {
    const [retrying, sent] = countingClient();
    const call = () => retrying.images.generate({ model: "auto", prompt: "a".repeat(9 << 20) });
    await raises(OpenAI.APIError, call, { status: 413, code: "payload_too_large" });
    check(sent.length === 1, `the SDK sent ${sent.length} requests`);
  });
  await test("403 keys, for a client key", () =>
    raises(OpenAI.PermissionDeniedError, () => client().get("/keys"), { status: 403 }));
  await test("403 a new project, for a client key", () =>
    raises(OpenAI.PermissionDeniedError, () => client().post("/projects", { body: { id: "mine" } }), { status: 403 }));
  await test("409 a project that there is", async () => {
    await admin.post("/projects", { body: { id: "node-twice" } });
    const [retrying, sent] = countingClient({ apiKey: adminKey });
    const again = () => retrying.post("/projects", { body: { id: "node-twice" } });
    await raises(OpenAI.ConflictError, again, { status: 409 });
    check(sent.length === 1, `the SDK sent ${sent.length} requests`);
  });
  await test("no connection", () => {
    const nowhere = client({ baseURL: "http://127.0.0.1:1/v1" });
    return raises(OpenAI.APIConnectionError, () => nowhere.images.generate({ model: "auto", prompt: "x" }));
  });
  await test("none of it cost anything", async () => {
    const after = JSON.stringify(await bills());
    check(after === before, `${before} became ${after}`);
  });
  for (const fault of ["stream_cut", "stream_error"]) {
    await test(`${fault} in the middle of a stream`, async () => {
      await fake("openai", "PUT", "faults", [{ fault, count: 1 }]);
      const body = { model: await streamingModel(), prompt: `a kite, ${fault}`, stream: true, partial_images: 1 };
      const { data: stream, response } = await client().images.generate(body).withResponse();
      check(response.headers.get("x-request-id"), "the headers of the stream name no request");
      const read = async () => {
        for await (const event of stream) check(event.type.endsWith("partial_image"), event.type);
      };
      const error = await raises(OpenAI.APIError, read, { code: "upstream_failed" });
      check(error.error.gallerist.disputed_usd, JSON.stringify(error.error));
    });
  }
}

/** The client's patience ends before the picture is made: what the SDK then does must not buy another. */
async function client_timeout() {
  const model = await streamingModel();

  async function slow(prompt, ms, options, expected) {
    await fake("openai", "PUT", "faults", [{ fault: "latency", ms }]);
    const [retrying, sent] = countingClient(options);
    const before = await settledBill();
    await expected(() => retrying.images.generate({ model, prompt }), sent);
    const bought = (await settledBill()) - before;
    check(bought === 1, `bought ${bought} times`);
  }

  await test("a timeout without retries buys once", () =>
    slow("a kite, too late", 2_500, { timeout: 1_000, maxRetries: 0 }, (call) =>
      raises(OpenAI.APIConnectionTimeoutError, call),
    ));
  await test("a timeout after two retries buys once", () =>
    slow("a kite, much too late", 8_000, { timeout: 1_000 }, async (call, sent) => {
      await raises(OpenAI.APIConnectionTimeoutError, call);
      check(sent.length === 3, `the SDK sent ${sent.length} requests`);
    }));
  await test("a retry after a timeout gets the picture of the first try", () =>
    slow("a kite, at last", 3_000, { timeout: 2_000 }, async (call, sent) => {
      const answer = await call();
      check(sent.length > 1, "the first try was not cut off");
      sizeOfPng(answer.data[0].b64_json);
    }));
}

async function rate_limited() {
  await faultEverywhere("429");
  await test("429 from everywhere", async () => {
    const call = () => client().images.generate({ model: "auto", prompt: "a kite in the rush" });
    const error = await raises(OpenAI.RateLimitError, call, { status: 429, code: "rate_limited" });
    check(error.headers.get("retry-after"), "no retry-after");
  });
}

async function upstream_failed() {
  await faultEverywhere("500");
  await test("502 when every offer fails", () => {
    const call = () => client().images.generate({ model: "auto", prompt: "a kite in a storm" });
    return raises(OpenAI.InternalServerError, call, { status: 502, code: "upstream_failed" });
  });
}

/** Every stand-in makes the picture, bills it and cuts the line: nobody may buy again. */
async function no_second_payment() {
  const model = await streamingModel();
  await faultEverywhere("reset_after");

  async function boughtBy(body) {
    const [retrying, sent] = countingClient();
    const before = await bills();
    const error = await raises(OpenAI.InternalServerError, () => retrying.images.generate(body));
    check(sent.length === 1, `the SDK sent ${sent.length} requests`);
    check(error.headers.get("x-should-retry") === "false", "no x-should-retry: false");
    const after = await bills();
    return Object.keys(after).map((kind) => after[kind] - before[kind]);
  }

  await test("no second payment, at one provider", async () => {
    const only = { providers: { only: ["openai"] } };
    const bought = await boughtBy({ model, prompt: "a kite at one provider", gallerist: only });
    const total = bought.reduce((sum, count) => sum + count, 0);
    check(total === 1, `bought ${total} times`);
  });
  await test("no second payment, on a route", async () => {
    const bought = await boughtBy({ model: "auto", prompt: "a kite, paid once" });
    check(bought.some((count) => count === 1), "nothing was billed: the fault did not bite");
    check(bought.every((count) => count <= 1), `bought twice at one provider: ${bought}`);
  });
}

/** Buys at OpenAI's stand-in, with the SDK's own retries, what the fault spoils; the error. */
async function boughtAtOneProvider(fault, fields = {}) {
  const model = await streamingModel();
  await fake("openai", "PUT", "faults", [fault]);
  const [retrying, sent] = countingClient();
  const before = await settledBill();
  const prompt = `a kite, ${fault.fault}, ${JSON.stringify(fields)}`;
  const body = { model, prompt, size: "1024x1024", gallerist: { providers: { only: ["openai"] } }, ...fields };
  let error;
  try {
    const answer = await retrying.images.generate(body);
    if (fields.stream) for await (const event of answer) check(event.type, "an event without a type");
  } catch (raised) {
    error = raised;
  }
  check(error, "it was delivered");
  check(error instanceof OpenAI.APIError, `${error.constructor.name}: ${error.message}`);
  const bought = (await settledBill()) - before;
  check(bought === 1, `bought ${bought} times, by ${sent.length} requests`);
  check(sent.length === 1, `the SDK sent ${sent.length} requests`);
  return error;
}

/** Whatever spoils a picture that was made and billed, the SDK does not buy another by itself. */
async function spoilt_but_billed() {
  for (const fault of ["reset_after", "truncated", "malformed", "wrong_size", "blank", "moderation_output"]) {
    await test(`${fault} buys once`, () => boughtAtOneProvider({ fault }));
    await test(`${fault}, streamed buys once`, () => boughtAtOneProvider({ fault }, { stream: true }));
  }
  for (const fault of ["stream_cut", "stream_error"]) {
    for (const partial_images of [0, 1]) {
      await test(`${fault} with ${partial_images} partial images buys once`, () =>
        boughtAtOneProvider({ fault }, { stream: true, partial_images }));
    }
  }
}

/** The gateway's own patience ends: 504, and no second payment. */
async function deadline() {
  const patienceMs = Number(process.env.GALLERIST_DEADLINE_MS);
  await test("504 when nobody answers in time, bought once", async () => {
    const error = await boughtAtOneProvider({ fault: "hang", ms: patienceMs + 1_000 });
    check(error.constructor === OpenAI.InternalServerError, `${error.constructor.name}: ${error.message}`);
    check(error.status === 504 && error.code === "upstream_timeout", error.message);
    check(error.headers.get("x-should-retry") === "false", "no x-should-retry: false");
  });
}

/** The gateway ends: who has begun gets the picture, who only joined is sent away for a while. */
async function shutdown() {
  const model = await streamingModel();
  await fake("openai", "PUT", "faults", [{ fault: "latency", ms: 3_000 }]);
  const before = await settledBill();
  const body = { model, prompt: "a kite in the evening" };
  const first = client().images.generate(body).then(
    (answer) => ({ answer }),
    (error) => ({ error }),
  );
  await sleep(1_000);
  setTimeout(() => process.kill(Number(process.env.GALLERIST_PROCESS), "SIGTERM"), 700);
  await test("503 at a shutdown", async () => {
    const options = { headers: { "x-stainless-retry-count": "1" } };
    const call = () => client().images.generate(body, options);
    const error = await raises(OpenAI.InternalServerError, call, { status: 503, code: "overloaded" });
    check(error.headers.get("retry-after"), "no retry-after");
  });
  await test("what was under way is delivered", async () => {
    const { answer, error } = await first;
    check(answer, `the first failed: ${error?.message}`);
    sizeOfPng(answer.data[0].b64_json);
    const bought = (await settledBill()) - before;
    check(bought === 1, `bought ${bought} times`);
  });
}

const groups = {
  surface,
  errors,
  accounts,
  client_timeout,
  rate_limited,
  upstream_failed,
  no_second_payment,
  spoilt_but_billed,
  deadline,
  shutdown,
};
const group = groups[process.argv[2]];
if (!group) {
  console.error(`usage: node openai_node.mjs ${Object.keys(groups).join("|")}`);
  process.exit(2);
}
await group();
process.exit(failures ? 1 : 0);
