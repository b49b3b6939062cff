// The peer of the `infer-*` benchmarks: transformers.js on ONNX Runtime for Node.js (the npm packages that eng/transformers-js installs), driven by
// bench/SimCse.Bench over the same lines as a side in .NET: `check PATH` and `round N` in, one JSON document a line out.
//
//   node side.mjs FOLDER DTYPE CALL MODE
//
// FOLDER holds texts.jsonl (a JSON string a line) and model/ with onnx/model*.onnx, which is what DTYPE (fp32, int8) names. A round gives the pipeline its texts in the
// order they stand, CALL at a time, as its user does; MODE load measures opening the model and one vector instead.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const require = createRequire(new URL("../../../eng/transformers-js/", import.meta.url));
const { env, pipeline } = await import(pathToFileURL(require.resolve("@huggingface/transformers")));

const [folder, dtype, call, mode] = process.argv.slice(2);
env.allowRemoteModels = false;
env.localModelPath = folder + "/";
const texts = readFileSync(join(folder, "texts.jsonl"), "utf8").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
const { Rounds: rounds, Threads: threads } = JSON.parse(readFileSync(join(folder, "options.json"), "utf8"));
const textsARound = Math.floor(texts.length / (rounds + 1)); // round 0 warms up; no text comes twice
const open = () => pipeline("feature-extraction", "model", { dtype, device: "cpu", session_options: { intraOpNumThreads: threads, interOpNumThreads: 1 } });
const embed = async (extract, some) => {
  const rows = [];
  for (let at = 0; at < some.length; at += Number(call)) {
    const output = await extract(some.slice(at, at + Number(call)), { pooling: "mean", normalize: true });
    rows.push(output);
  }
  return rows;
};

const reply = (value) => process.stdout.write(JSON.stringify(value) + "\n");
const extract = mode === "load" ? null : await open();
reply({ ready: `@huggingface/transformers ${env.version}, onnxruntime-node ${require("onnxruntime-node/package.json").version}, Node.js ${process.versions.node}` });
for await (const line of createInterface({ input: process.stdin })) {
  if (line.startsWith("check ")) {
    const opened = extract ?? (await open());
    const lines = (await embed(opened, texts.slice(0, 64))).flatMap((output) => output.tolist()).map((row) => row.join(" ") + "\n");
    writeFileSync(line.slice("check ".length), lines.join(""));
    reply({ checked: true });
  } else {
    const round = Number(line.slice("round ".length));
    const some = texts.slice(round * textsARound, (round + 1) * textsARound);
    const start = process.hrtime.bigint();
    if (mode === "load") {
      const opened = await open();
      await embed(opened, some.slice(0, 1));
      await opened.dispose();
    } else {
      await embed(extract, some);
    }
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    reply([{ Part: "", Seconds: seconds, Items: mode === "load" ? 1 : some.length }]);
  }
}
