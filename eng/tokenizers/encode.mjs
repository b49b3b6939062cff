// Encodes texts with Hugging Face's Rust tokenizers, for the tests and the `tokenize` benchmark to compare with.
//
//   node encode.mjs TOKENIZER.json [INPUT] [--time ROUNDS | --vocabulary] [--max-length N] [--threads]
//
// INPUT (or standard input) holds one JSON string a line, so that a text may hold a line break; a lone surrogate is written
// \udXXX and reaches the tokenizer as U+FFFD, as everything that goes from JavaScript to UTF-8.
// Prints the ids of each text, special tokens included, separated by spaces, one text a line. With --time it prints instead
// the seconds that each of ROUNDS passes over all texts took (on one thread unless --threads), one pass a line. With
// --vocabulary it reads no input and prints {"id": "token", ...} of all tokens, added ones included.
// Truncation and padding that the file asks for are switched off; --max-length truncates.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const files = [];
let rounds = 0;
let maxLength = 0;
let vocabulary = false;
let threads = false;
for (let i = 2; i < process.argv.length; i++) {
  const argument = process.argv[i];
  if (argument === "--time") rounds = Number(process.argv[++i]);
  else if (argument === "--max-length") maxLength = Number(process.argv[++i]);
  else if (argument === "--vocabulary") vocabulary = true;
  else if (argument === "--threads") threads = true;
  else files.push(argument);
}
if (files.length < 1 || files.length > 2 || !Number.isInteger(rounds) || !Number.isInteger(maxLength)) {
  console.error("usage: node encode.mjs TOKENIZER.json [INPUT] [--time ROUNDS | --vocabulary] [--max-length N] [--threads]");
  process.exit(2);
}

// Read by the native library when it first encodes a batch.
process.env.TOKENIZERS_PARALLELISM = threads ? "true" : "false";
const { Tokenizer } = createRequire(import.meta.url)("@anush008/tokenizers");

const tokenizer = Tokenizer.fromString(readFileSync(files[0], "utf8"));
tokenizer.disablePadding();
tokenizer.disableTruncation();
if (maxLength > 0) tokenizer.setTruncation(maxLength);

if (vocabulary) {
  const tokens = {};
  for (const [token, id] of Object.entries(tokenizer.getVocab(true))) tokens[id] = token;
  process.stdout.write(JSON.stringify(tokens) + "\n");
} else {
  const lines = readFileSync(files[1] ?? 0, "utf8").split("\n");
  if (lines.at(-1) === "") lines.pop();
  const texts = lines.map((line) => JSON.parse(line));
  const batch = 1000;
  if (rounds > 0) {
    for (let round = 0; round < rounds; round++) {
      const start = process.hrtime.bigint();
      for (let i = 0; i < texts.length; i += batch) await tokenizer.encodeBatch(texts.slice(i, i + batch));
      console.log((Number(process.hrtime.bigint() - start) / 1e9).toFixed(6));
    }
  } else {
    for (let i = 0; i < texts.length; i += batch) {
      const encodings = await tokenizer.encodeBatch(texts.slice(i, i + batch));
      process.stdout.write(encodings.map((encoding) => encoding.getIds().join(" ") + "\n").join(""));
    }
  }
}
