// What transformers.js gives for texts: the reference of the inference tests.
//   node embed.mjs MODEL DTYPE POOLING NORMALIZE < texts.jsonl
// MODEL is a directory with onnx/model*.onnx, DTYPE fp32 or int8, POOLING mean or cls; a JSON array of numbers a text comes out.
import { readFileSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { env, pipeline } from "@huggingface/transformers";

const [model, dtype, pooling, normalize] = process.argv.slice(2);
env.allowRemoteModels = false;
env.localModelPath = dirname(resolve(model)) + "/";
const texts = readFileSync(0, "utf8").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
const extract = await pipeline("feature-extraction", basename(resolve(model)), { dtype, device: "cpu" });
for (const text of texts) {
  const output = await extract(text, { pooling, normalize: normalize === "true" });
  process.stdout.write(JSON.stringify(Array.from(output.data)) + "\n");
}
