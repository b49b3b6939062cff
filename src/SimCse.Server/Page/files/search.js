import { call, element, say } from "/page/server.js";

const form = document.getElementById("search-form");
const list = document.getElementById("hits");
let latest = 0;

form.addEventListener("submit", event => {
  event.preventDefault();
  search(document.getElementById("query").value);
});

export function show() {
  document.getElementById("query").focus({ preventScroll: true });
}

export async function search(query) {
  const mine = ++latest;
  document.getElementById("query").value = query;
  const filter = document.getElementById("filter").value.split(",").map(part => part.trim()).filter(part => part.length > 0);
  say("search-status", "Searching …");
  try {
    const started = performance.now();
    const answer = await call("/search", { query, top: Number(document.getElementById("top").value), filter, highlight: true });
    if (mine === latest) {
      const hits = answer.results[0].hits;
      say("search-status", hits.length === 0 ? "No entry is a hit." : `${hits.length} ${hits.length === 1 ? "hit" : "hits"} in ${Math.round(performance.now() - started)} ms; marked words are those that make them similar.`);
      list.replaceChildren(...hits.map(item));
    }
  } catch (error) {
    if (mine === latest) {
      list.replaceChildren();
      say("search-status", error.message, true);
    }
  }
}

function item(hit) {
  const score = element("div", { className: "score" }, hit.score.toFixed(3));
  score.append(element("meter", { min: 0, max: 1, value: Math.max(0, hit.score), ariaLabel: "similarity" }));
  const metadata = Object.entries(hit.metadata).map(([name, value]) => `${name}=${value}`);
  return element("li", {},
    score,
    element("p", { className: "text" }, ...marked(hit.text, hit.words)),
    element("p", { className: "about", textContent: [hit.id, ...metadata].join(" · ") }));
}

// The text with its best-matching words marked.
function marked(text, words) {
  const parts = [];
  let at = 0;
  for (const word of [...words].sort((a, b) => a.start - b.start)) {
    parts.push(text.slice(at, word.start), element("mark", { className: word.weight < 0.5 ? "weak" : "", textContent: text.slice(word.start, word.end) }));
    at = word.end;
  }

  return [...parts, text.slice(at)];
}
