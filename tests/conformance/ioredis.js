// What programs with ioredis do, with each node of a cluster. It speaks RESP2 only.
"use strict";

const assert = require("assert");
const Redis = require("ioredis");
const { ports, eventually, run } = require("./programs.js");

const range = (count) => Array.from({ length: count }, (_, index) => index);

function connect(port, options = {}) {
  const client = new Redis({ port, host: "127.0.0.1", retryStrategy: () => 10, ...options });
  client.on("error", () => {});  // What fails for good fails the command.
  return client;
}

async function strings(writer, reader) {
  assert.strictEqual(await writer.set("io:k", "v"), "OK");
  assert.strictEqual(await writer.get("io:k"), "v");
  assert.strictEqual(await writer.get("io:missing"), null);
  assert.strictEqual(await writer.set("io:k", "w", "NX"), null);
  assert.strictEqual(await writer.set("io:k", "w", "EX", 100, "GET"), "v");
  assert.ok((await writer.ttl("io:k")) > 90);
  const bytes = Buffer.from(range(256));
  await writer.set("io:bytes", bytes);
  await writer.mset({ "io:a": "1", "io:b": "2" });
  await eventually("the same on another node", async () =>
    (await reader.getBuffer("io:bytes"))?.equals(bytes) === true &&
    (await reader.mget("io:a", "io:missing", "io:b")).join() === "1,,2");
  await assert.rejects(writer.incr("io:k"), /not an integer/);
  await assert.rejects(writer.call("LPUSH", "io:k", "v"), /unknown command/);
}

// One write for many commands: explicit, of its own accord, and as a transaction.
async function pipelines(port, reader) {
  const writer = connect(port, { enableAutoPipelining: true });
  const numbers = await Promise.all(range(1000).map(() => writer.incr("io:n")));
  assert.deepStrictEqual(numbers, range(1000).map((index) => index + 1));
  await Promise.all(range(500).map((index) => writer.set(`io:auto:${index}`, `v${index}`)));
  const pipeline = writer.pipeline();
  range(500).forEach((index) => pipeline.set(`io:pipe:${index}`, `w${index}`));
  assert.deepStrictEqual(await pipeline.exec(), range(500).map(() => [null, "OK"]));
  assert.deepStrictEqual(await writer.multi().set("io:t", 1).incr("io:t").get("io:bytes2").exec(),
    [[null, "OK"], [null, 2], [null, null]]);
  await eventually("all of it on another node", async () => {
    const values = await reader.mget(range(500).flatMap((n) => [`io:auto:${n}`, `io:pipe:${n}`]));
    const right = values.filter((value, n) => value === `${n % 2 ? "w" : "v"}${n >> 1}`).length;
    return right === 1000 || right;
  });
  await eventually("the count on another node", async () => (await reader.get("io:n")) === "1000");
  const seen = new Set();
  for await (const keys of reader.scanStream({ match: "io:auto:*", count: 100 }))
    keys.forEach((key) => seen.add(key));
  assert.strictEqual(seen.size, 500);
  await writer.quit();
}

// A connection that is cut is made again, in the database it was in, and hears what it listened to.
async function reconnects(port, speaker) {
  const client = connect(port, { db: 2 });
  const listener = connect(port);
  const heard = [];
  listener.on("message", (channel, message) => heard.push(`${channel} ${message}`));
  listener.on("pmessage", (pattern, channel, message) => heard.push(`${pattern} ${message}`));
  assert.strictEqual(await listener.subscribe("io:news"), 1);
  assert.strictEqual(await listener.psubscribe("io:n*"), 2);
  const says = (word) => eventually(`${word} to be heard`, async () => {
    await speaker.publish("io:news", word);
    return heard.includes(`io:news ${word}`) && heard.includes(`io:n* ${word}`);
  });
  await says("before");
  await client.set("io:two", "in database 2");

  const killer = connect(port);
  let times = 0;
  listener.on("ready", () => { times += 1; });
  const before = await client.client("ID");
  assert.strictEqual(await killer.client("KILL", "ID", before), 1);
  assert.ok((await killer.client("KILL", "TYPE", "pubsub")) >= 1);
  assert.strictEqual(await client.get("io:two"), "in database 2");
  assert.notStrictEqual(await client.client("ID"), before);
  await eventually("the listener to be back", async () => times > 0);
  await says("after");
  await Promise.all([client.quit(), listener.quit(), killer.quit()]);
}

run(async () => {
  for (const [index, port] of ports.entries()) {
    const writer = connect(port);
    const reader = connect(ports[(index + 1) % ports.length]);
    await eventually("nothing on another node", async () => {
      await writer.flushall();
      return (await reader.dbsize()) === 0;
    });
    await strings(writer, reader);
    await pipelines(port, reader);
    await reconnects(port, reader);
    await Promise.all([writer.quit(), reader.quit()]);
  }
});
