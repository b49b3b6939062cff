// The peer of the `tokenize` benchmark: Hugging Face's Rust tokenizers (the npm package that eng/tokenizers installs), driven by
// bench/SimCse.Bench over the same lines as a side in .NET: `check PATH` and `round N` in, one JSON document a line out.
//
//   node side.mjs FOLDER
//
// FOLDER holds texts.jsonl (a JSON string a line) and a folder with a tokenizer.json for each part. A round gives the library the
// texts as batches, which is the fastest it has, on one thread; handing the ids over to JavaScript is not timed.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

process.env.TOKENIZERS_PARALLELISM = "false"; // read by the native library when it first encodes a batch
const installed = createRequire(new URL("../../../eng/tokenizers/", import.meta.url));
const { Tokenizer } = installed("@anush008/tokenizers");
const { name, version } = installed("@anush008/tokenizers/package.json");

const folder = process.argv[2];
const texts = readFileSync(join(folder, "texts.jsonl"), "utf8").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
const { Rounds: rounds } = JSON.parse(readFileSync(join(folder, "options.json"), "utf8"));
const textsARound = Math.floor(texts.length / (rounds + 1)); // round 0 warms up; no text comes twice
const batchesOf = (some) => Array.from({ length: Math.ceil(some.length / 1000) }, (_, i) => some.slice(i * 1000, (i + 1) * 1000));
const parts = ["wordpiece", "bpe"].map((name) => {
  const tokenizer = Tokenizer.fromString(readFileSync(join(folder, name, "tokenizer.json"), "utf8"));
  tokenizer.disablePadding();
  tokenizer.disableTruncation();
  return { name, tokenizer };
});

const reply = (value) => process.stdout.write(JSON.stringify(value) + "\n");
reply({ ready: `${name} ${version}, Node.js ${process.versions.node}` });
for await (const line of createInterface({ input: process.stdin })) {
  if (line.startsWith("check ")) {
    const lines = [];
    for (const { tokenizer } of parts)
      for (const batch of batchesOf(texts))
        for (const encoding of await tokenizer.encodeBatch(batch)) lines.push(encoding.getIds().join(" ") + "\n");
    writeFileSync(line.slice("check ".length), lines.join(""));
    reply({ checked: true });
  } else {
    let measured;
    const round = Number(line.slice("round ".length));
    const batches = batchesOf(texts.slice(round * textsARound, (round + 1) * textsARound));
    const warmUp = performance.now() + 3000; // round 0 goes on at least so long
    do {
      measured = [];
      for (const { name, tokenizer } of parts) {
        const start = process.hrtime.bigint();
        for (const batch of batches) await tokenizer.encodeBatch(batch);
        const seconds = Number(process.hrtime.bigint() - start) / 1e9;
        measured.push({ Part: name, Seconds: seconds, Items: textsARound });
      }
    } while (round === 0 && performance.now() < warmUp);
    reply(measured);
  }
}
