import { drawChart } from "/page/charts.js";
import { call, say, showFigures } from "/page/server.js";

const interval = 2000;
let lines = [], timer = 0, shown = false;

export function show() {
  shown = true;
  refresh();
}

export function hide() {
  shown = false;
  clearTimeout(timer);
}

async function refresh() {
  clearTimeout(timer);
  try {
    const last = lines.length === 0 ? -1 : lines[lines.length - 1].step;
    let run = await call(`/run/metrics?after=${last}`);
    if (run.last_step < last) {
      lines = []; // it was begun anew
      run = await call("/run/metrics");
    }

    const before = lines.length;
    lines.push(...run.lines);
    say("run-status", run.last_step < 0 ? `${run.name}: the run has not written anything yet.` : `${run.name}: step ${run.last_step.toLocaleString("en")}. New steps appear as they are done.`);
    if (lines.length > before || before === 0) {
      draw();
    }
  } catch (error) {
    say("run-status", error.message, true);
    if (error.status === 404) {
      return;
    }
  }

  if (shown) {
    timer = setTimeout(refresh, interval);
  }
}

const of = name => lines.filter(line => line[name] !== null && line[name] !== undefined).map(line => [line.step, line[name]]);
const figure = (value, digits) => value === undefined ? "–" : value.toFixed(digits);

function draw() {
  const loss = of("loss"), dev = of("dev"), judged = lines.filter(line => line.alignment !== null && line.uniformity !== null);
  const best = dev.reduce((a, b) => a === null || b[1] > a[1] ? b : a, null), latest = judged[judged.length - 1];
  showFigures("run-figures", [
    ["Loss", figure(loss[loss.length - 1]?.[1], 4)],
    ["STS-B dev, latest", figure(dev[dev.length - 1]?.[1], 2)],
    ["STS-B dev, best", best === null ? "–" : `${best[1].toFixed(2)} at step ${best[0]}`],
    ["Alignment", figure(latest?.alignment, 3)],
    ["Uniformity", figure(latest?.uniformity, 3)],
  ]);
  drawChart("run-loss", { title: "Training loss", x: "step", y: "loss", points: loss, series: 1, description: `from ${figure(loss[0]?.[1], 3)} to ${figure(loss[loss.length - 1]?.[1], 3)} at step ${loss[loss.length - 1]?.[0]}` });
  drawChart("run-dev", { title: "STS-B dev", x: "step", y: "Spearman × 100", points: dev, series: 2, dots: true, description: best === null ? "none" : `best ${best[1].toFixed(2)} at step ${best[0]}` });
  drawChart("run-geometry", {
    title: "Alignment and uniformity",
    x: "uniformity (lower is better)",
    y: "alignment (lower is better)",
    points: judged.map(line => [line.uniformity, line.alignment]),
    series: 3,
    dots: true,
    ends: true,
    description: `uniformity ${figure(judged[0]?.uniformity, 2)} to ${figure(latest?.uniformity, 2)}, alignment ${figure(judged[0]?.alignment, 2)} to ${figure(latest?.alignment, 2)}`,
  });
}
