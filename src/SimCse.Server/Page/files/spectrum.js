import { drawChart } from "/page/charts.js";
import { call, say, showFigures } from "/page/server.js";

export async function show() {
  say("spectrum-status", "Measuring …");
  try {
    const found = await call("/index/spectrum");
    say("spectrum-status", `Measured on ${found.sampled.toLocaleString("en")} texts of the index.`);
    showFigures("spectrum-figures", [
      ["Effective rank", `${found.effective_rank.toFixed(1)} of ${found.singular_values.length}`],
      ["Mean cosine", found.mean_cosine.toFixed(3)],
      ["Uniformity", found.uniformity.toFixed(3)],
    ]);
    drawChart("spectrum-chart", {
      title: "Singular spectrum",
      x: "index of the singular value (logarithmic)",
      y: "singular value, largest = 1",
      points: found.singular_values.map((value, i) => [i + 1, value]),
      series: 1,
      log: true,
      description: `${found.singular_values.length} values; the tenth is ${(found.singular_values[9] ?? 0).toFixed(3)}.`,
    });
  } catch (error) {
    say("spectrum-status", error.message, true);
  }
}
