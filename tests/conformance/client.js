// What programs with node-redis do, against the node on the port that is given. Ends with code 0.
"use strict";

const assert = require("assert");
const { createClient } = require("redis");

async function main() {
  const client = createClient({ socket: { port: Number(process.argv[2]), reconnectStrategy: false } });
  await client.connect();
  assert.strictEqual(await client.ping(), "PONG");
  assert.strictEqual(await client.set("k", "v"), "OK");
  assert.strictEqual(await client.get("k"), "v");
  assert.strictEqual(await client.get("missing"), null);
  assert.strictEqual(await client.set("k", "w", { NX: true }), null);
  assert.strictEqual(await client.set("k", "w", { EX: 100, GET: true }), "v");
  assert.ok((await client.ttl("k")) > 98);
  // All in one packet.
  const numbers = await Promise.all(Array.from({ length: 1000 }, () => client.incr("n")));
  assert.deepStrictEqual(numbers, Array.from({ length: 1000 }, (_, index) => index + 1));
  await client.mSet({ a: "1", b: "2" });
  assert.deepStrictEqual(await client.mGet(["a", "missing", "b"]), ["1", null, "2"]);
  const seen = [];
  for await (const key of client.scanIterator({ COUNT: 2 })) seen.push(key);
  assert.deepStrictEqual(seen.sort(), ["a", "b", "k", "n"]);
  await assert.rejects(client.incr("k"), /not an integer/);
  await assert.rejects(client.sendCommand(["LPUSH", "k", "v"]), /unknown command/);
  assert.deepStrictEqual(await client.multi().set("t", "1").incr("t").exec(), ["OK", 2]);
  await client.del("t");
  const other = client.duplicate({ database: 3 });
  await other.connect();
  assert.strictEqual(await other.get("k"), null);
  await other.quit();
  assert.match(await client.info("server"), /redis_version:7/);
  assert.strictEqual(await client.del(["a", "b", "c"]), 2);
  await client.quit();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
