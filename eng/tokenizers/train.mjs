// Trains an uncased WordPiece vocabulary with Hugging Face's Rust code, for the tests to compare with.
//
//   node train.mjs TEXT
//
// TEXT holds one text a line. The trainer is the library's default: 30,000 tokens, pairs that come once are merged too, the
// alphabet is not limited, no special tokens. Prints the tokens in the order of their ids as one JSON array.
import { createRequire } from "node:module";

const { Tokenizer, WordPiece, bertNormalizer, bertPreTokenizer } = createRequire(import.meta.url)("@anush008/tokenizers");

if (process.argv.length !== 3) {
  console.error("usage: node train.mjs TEXT");
  process.exit(2);
}

const tokenizer = new Tokenizer(WordPiece.empty());
tokenizer.setNormalizer(bertNormalizer());
tokenizer.setPreTokenizer(bertPreTokenizer());
tokenizer.train([process.argv[2]]);
const ids = Object.entries(tokenizer.getVocab(true)).sort((a, b) => a[1] - b[1]);
console.log(JSON.stringify(ids.map(([token]) => token)));
