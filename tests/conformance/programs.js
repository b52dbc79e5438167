// What the programs beside this one have in common: they are given the ports of the nodes of a
// cluster, end with code 0 if all was as it must be, and with the error otherwise.
"use strict";

const ports = process.argv.slice(2).map(Number);
const seconds = Number(process.env.DHRT_PATIENCE || "1") * 20;

// Asks again until it is true: what was written on one node comes to the others soon.
async function eventually(what, condition) {
  const deadline = Date.now() + seconds * 1000;
  let last;
  do {
    last = await condition();
    if (last === true) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  } while (Date.now() < deadline);
  throw new Error(`waited ${seconds} s for ${what}; last seen: ${JSON.stringify(last)}`);
}

function run(main) {
  const tooLong = setTimeout(() => {
    console.error(`not done after ${2 * seconds} s`);
    process.exit(2);
  }, 2 * seconds * 1000);
  main().then(() => clearTimeout(tooLong)).catch((error) => {
    console.error(error);
    process.exit(1);
  });
}

module.exports = { ports, eventually, run };
