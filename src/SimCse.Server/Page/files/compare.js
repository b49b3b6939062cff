import { call, element, say } from "/page/server.js";

const heat = document.getElementById("heat");

document.getElementById("compare-form").addEventListener("submit", event => {
  event.preventDefault();
  compare();
});

const texts = id => document.getElementById(id).value.split("\n").map(line => line.trim()).filter(line => line.length > 0);

async function compare() {
  const rows = texts("rows"), columns = texts("columns");
  if (rows.length === 0 || columns.length === 0) {
    say("compare-status", "Both lists need at least one text.", true);
    return;
  }

  say("compare-status", "Comparing …");
  try {
    const { cosines } = await call("/similarity/matrix", { rows, columns, truncate: true });
    say("compare-status", `${rows.length} × ${columns.length} similarities.`);
    draw(rows, columns, cosines);
  } catch (error) {
    heat.hidden = document.getElementById("heat-hint").hidden = true;
    say("compare-status", error.message, true);
  }
}

function draw(rows, columns, cosines) {
  const all = cosines.flat(), least = Math.min(...all), most = Math.max(...all);
  const table = element("table", {}, element("caption", { textContent: "Similarity of each text of the first list with each of the second", className: "hint" }));
  table.append(element("thead", {}, element("tr", {}, element("td"), ...columns.map(text => element("th", { scope: "col", textContent: text })))));
  table.append(element("tbody", {}, ...rows.map((text, r) => element("tr", {}, element("th", { scope: "row", textContent: text }), ...columns.map((_, c) => {
    const share = most > least ? (cosines[r][c] - least) / (most - least) : 1;
    const cell = element("td", { textContent: cosines[r][c].toFixed(3) });
    // The strongest colour still leaves the text its contrast.
    cell.style.backgroundColor = `rgb(var(--heat) / ${(0.04 + 0.36 * share).toFixed(3)})`;
    cell.style.fontWeight = share > 0.8 ? "700" : "400";
    return cell;
  })))));
  heat.replaceChildren(table);
  heat.hidden = document.getElementById("heat-hint").hidden = false;
}
