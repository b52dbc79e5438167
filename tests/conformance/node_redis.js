// What programs with node-redis 5 do, with each node of a cluster, in RESP2 and in RESP3.
"use strict";

const assert = require("assert");
const { createClient } = require("@redis/client");
const { ports, eventually, run } = require("./programs.js");

const range = (count) => Array.from({ length: count }, (_, index) => index);

async function connect(port, RESP, more = {}) {
  const client = createClient({ RESP, socket: { port, reconnectStrategy: () => 10 }, ...more });
  client.on("error", () => {});  // What fails for good fails the command.
  return client.connect();
}

async function strings(writer, reader, version) {
  assert.deepStrictEqual({ ...await writer.hello(version) }.proto, version);
  assert.strictEqual(await writer.set("nr:k", "v"), "OK");
  assert.strictEqual(await writer.get("nr:missing"), null);
  assert.strictEqual(await writer.set("nr:k", "w", { NX: true }), null);
  assert.strictEqual(await writer.set("nr:k", "w", { EX: 100, GET: true }), "v");
  assert.ok((await writer.ttl("nr:k")) > 90);
  await writer.mSet({ "nr:a": "1", "nr:b": "2" });
  assert.strictEqual(Number(await writer.incrByFloat("nr:a", 0.5)), 1.5);
  assert.strictEqual((await writer.configGet("maxmemory-policy"))["maxmemory-policy"],
    "noeviction");
  await eventually("the same on another node", async () =>
    (await reader.mGet(["nr:a", "nr:missing", "nr:b"])).join() === "1.5,,2");
  await assert.rejects(writer.incr("nr:k"), /not an integer/);
  await assert.rejects(writer.sendCommand(["LPUSH", "nr:k", "v"]), /unknown command/);
  assert.deepStrictEqual(await writer.multi().set("nr:t", "1").incr("nr:t").exec(), ["OK", 2]);
}

// What is asked for in one turn leaves in one write.
async function pipelines(writer, reader) {
  const numbers = await Promise.all(range(1000).map(() => writer.incr("nr:n")));
  assert.deepStrictEqual(numbers, range(1000).map((index) => index + 1));
  await Promise.all(range(500).map((index) => writer.set(`nr:auto:${index}`, `v${index}`)));
  await eventually("all of it on another node", async () => {
    const values = await reader.mGet(range(500).map((index) => `nr:auto:${index}`));
    const right = values.filter((value, index) => value === `v${index}`).length;
    return right === 500 || right;
  });
  await eventually("the count on another node", async () => (await reader.get("nr:n")) === "1000");
  const seen = new Set();
  for await (const keys of reader.scanIterator({ MATCH: "nr:auto:*", COUNT: 100 }))
    keys.forEach((key) => seen.add(key));
  assert.strictEqual(seen.size, 500);
}

async function reconnects(port, version, speaker) {
  const client = await connect(port, version, { database: 2 });
  const listener = await connect(port, version);
  const heard = [];
  await listener.subscribe("nr:news", (message) => heard.push(`name ${message}`));
  await listener.pSubscribe("nr:n*", (message) => heard.push(`pattern ${message}`));
  const says = (word) => eventually(`${word} to be heard`, async () => {
    await speaker.publish("nr:news", word);
    return heard.includes(`name ${word}`) && heard.includes(`pattern ${word}`);
  });
  await says("before");
  await client.set("nr:two", "in database 2");

  const killer = await connect(port, version);
  let times = 0;
  for (const one of [client, listener]) one.on("ready", () => { times += 1; });
  const before = await client.clientId();
  assert.strictEqual(await killer.clientKill({ filter: "ID", id: before }), 1);
  assert.ok((await killer.sendCommand(["CLIENT", "KILL", "TYPE", "pubsub"])) >= 1);
  await eventually("both to be back", async () => times === 2);
  assert.strictEqual(await client.get("nr:two"), "in database 2");
  assert.notStrictEqual(await client.clientId(), before);
  await says("after");
  await Promise.all([client.close(), listener.close(), killer.close()]);
}

run(async () => {
  for (const version of [2, 3]) {
    for (const [index, port] of ports.entries()) {
      const writer = await connect(port, version);
      const reader = await connect(ports[(index + 1) % ports.length], version);
      await eventually("nothing on another node", async () => {
        await writer.flushAll();
        return (await reader.dbSize()) === 0;
      });
      await strings(writer, reader, version);
      await pipelines(writer, reader);
      await reconnects(port, version, reader);
      await Promise.all([writer.close(), reader.close()]);
    }
  }
});
