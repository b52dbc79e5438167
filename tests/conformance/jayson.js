// What programs with a library for JSON-RPC do, with each node of a cluster, in 1.0 and in 2.0.
"use strict";

const assert = require("assert");
const jayson = require("jayson/promise");
const { ports, eventually, run } = require("./programs.js");

const type = "memory";

// 1.0 has its one object of parameters in an array.
function caller(port, version, path) {
  const client = jayson.Client.http({ host: "127.0.0.1", port, version, path });
  const params = (object) => (version === 1 ? [object] : object);
  return {
    client,
    params,
    call: (method, object) => client.request(`Storage.${method}`, params(object)),
    result: async (method, object) => {
      const reply = await client.request(`Storage.${method}`, params(object));
      assert.ok(!reply.error, JSON.stringify(reply));
      assert.strictEqual(reply.jsonrpc, version === 1 ? undefined : "2.0");
      return reply.result;
    },
  };
}

async function empties(writer, reader) {
  await eventually("nothing on another node", async () => {
    assert.strictEqual(await writer.result("FlushAll", { type }), true);
    return (await reader.result("Count", { type })) === 0;
  });
}

async function check(writer, reader, version) {
  await empties(writer, reader);
  assert.strictEqual(await writer.result("Set", { type, key: "k", value: "v" }), true);
  assert.strictEqual(await writer.result("Get", { type, key: "k" }), "v");
  assert.strictEqual(await writer.result("Has", { type, key: "k" }), true);
  const text = "\u00e4 \u{1f40d} \" \\ \u0000 \n";
  assert.strictEqual(await writer.result("Set", { type, key: text, value: text }), true);
  await eventually("the same on another node", async () =>
    (await reader.result("Get", { type, key: text })) === text);
  // Many at a time, and each gets its own.
  const keys = Array.from({ length: 200 }, (_, index) => `many:${index}`);
  const stored = await Promise.all(keys.map((key) =>
    writer.result("Set", { type, key, value: `of ${key}` })));
  assert.ok(stored.every((one) => one === true));
  await eventually("the count on another node", async () =>
    (await reader.result("Count", { type })) === 202);
  const read = await Promise.all(keys.map((key) => reader.result("Get", { type, key })));
  assert.deepStrictEqual(read, keys.map((key) => `of ${key}`));
  assert.strictEqual(await writer.result("Delete", { type, key: "k" }), true);
  assert.strictEqual(await writer.result("Has", { type, key: "k" }), false);
  assert.ok((await writer.call("NoSuchMethod", { type })).error);
  assert.ok((await writer.call("Set", { type })).error);
  await empties(writer, reader);
  if (version === 2) await checkBatches(writer, reader);
}

// 2.0 only: a notification is not answered, and a batch has several of both.
async function checkBatches({ client, params }, reader) {
  const set = (key, id) => client.request("Storage.Set", params({ type, key, value: "v" }), id,
    false);
  assert.strictEqual(await client.request("Storage.Set",
    params({ type, key: "quiet", value: "v" }), null), undefined);
  const replies = await client.request([set("one", 1), set("two", null), set("three", "3"),
    client.request("Storage.NoSuchMethod", {}, 4, false)]);
  assert.deepStrictEqual(replies.map((reply) => [reply.id, reply.result ?? reply.error.code]),
    [[1, true], ["3", true], [4, -32601]]);
  await eventually("four on another node", async () =>
    (await reader.result("Count", { type })) === 4);
  assert.strictEqual(await reader.result("FlushAll", { type }), true);
  await eventually("nothing left", async () => (await client.request("Storage.Count",
    params({ type }))).result === 0);
}

run(async () => {
  for (const version of [1, 2]) {
    for (const [index, port] of ports.entries()) {
      const other = ports[(index + 1) % ports.length];
      await check(caller(port, version, "/rpc"), caller(other, version, "/"), version);
    }
  }
});
