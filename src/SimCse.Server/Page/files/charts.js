// Line charts in SVG, which screen readers meet as one image with a description.
const space = "http://www.w3.org/2000/svg";
const width = 620, height = 360, left = 62, right = 18, top = 42, bottom = 48;

function node(name, attributes = {}, text = "") {
  const made = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes)) {
    made.setAttribute(key, value);
  }

  made.textContent = text;
  return made;
}

// Round numbers that cover a range, about five of them.
function ticks(least, most) {
  const rough = (most - least) / 5 || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(m => m * power).find(s => s >= rough);
  const found = [];
  for (let tick = Math.ceil(least / step - 1e-9) * step; tick <= most + step * 1e-9; tick += step) {
    found.push(Number(tick.toPrecision(12)));
  }

  return found;
}

function logTicks(least, most) {
  const found = [];
  for (let power = 1; power <= most; power *= 10) {
    found.push(...[1, 2, 5].map(m => m * power).filter(t => t >= least && t <= most));
  }

  return found;
}

const short = value => Math.abs(value) >= 10000 ? value.toLocaleString("en") : String(Number(value.toPrecision(6)));

// Of many points, the lowest and the highest of each stretch: the line looks the same.
function thinned(points, most = 1200) {
  if (points.length <= most) {
    return points;
  }

  const size = Math.ceil(points.length / (most / 2)), kept = [];
  for (let at = 0; at < points.length; at += size) {
    const part = points.slice(at, at + size);
    let low = 0, high = 0;
    part.forEach((point, i) => {
      low = point[1] < part[low][1] ? i : low;
      high = point[1] > part[high][1] ? i : high;
    });
    kept.push(...[...new Set([Math.min(low, high), Math.max(low, high)])].map(i => part[i]));
  }

  return kept;
}

// chart: { title, x, y, points: [[x, y], …], series: 1 to 3, dots, log, ends, description }
export function drawChart(id, chart) {
  const points = chart.points.filter(point => point.every(Number.isFinite));
  const place = document.getElementById(id);
  if (points.length === 0) {
    place.replaceChildren();
    return;
  }

  const xs = points.map(p => p[0]), ys = points.map(p => p[1]);
  const range = (values, pad) => {
    const least = values.reduce((a, b) => Math.min(a, b)), most = values.reduce((a, b) => Math.max(a, b)), margin = (most - least || Math.abs(most) || 1) * pad;
    return [least - margin, most + margin];
  };
  const [x0, x1] = range(xs, chart.ends ? 0.08 : 0), [y0, y1] = range(ys, 0.08);
  const scale = chart.log ? Math.log10 : value => value;
  const x = value => left + (scale(value) - scale(x0)) / (scale(x1) - scale(x0) || 1) * (width - left - right);
  const y = value => height - bottom - (value - y0) / (y1 - y0 || 1) * (height - top - bottom);

  const svg = node("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": `${chart.title}: ${chart.description}` });
  svg.append(node("text", { x: left, y: 24, class: "chart-title" }, chart.title));
  for (const tick of ticks(y0, y1)) {
    svg.append(node("line", { x1: left, x2: width - right, y1: y(tick), y2: y(tick), class: "grid" }));
    svg.append(node("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, short(tick)));
  }

  for (const tick of chart.log ? logTicks(x0, x1) : ticks(x0, x1)) {
    svg.append(node("line", { x1: x(tick), x2: x(tick), y1: top, y2: height - bottom, class: "grid" }));
    svg.append(node("text", { x: x(tick), y: height - bottom + 18, "text-anchor": "middle" }, short(tick)));
  }

  svg.append(node("text", { x: (left + width - right) / 2, y: height - 10, "text-anchor": "middle" }, chart.x));
  svg.append(node("text", { x: 0, y: 0, "text-anchor": "middle", transform: `translate(16 ${(top + height - bottom) / 2}) rotate(-90)` }, chart.y));
  const line = thinned(points);
  svg.append(node("polyline", { points: line.map(p => `${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join(" "), class: `series s${chart.series}` }));
  if (chart.dots && points.length <= 200) {
    for (const point of points) {
      svg.append(node("circle", { cx: x(point[0]), cy: y(point[1]), r: 3.5, class: `s${chart.series}` }));
    }
  }

  if (chart.ends) {
    const ends = [[points[0], "first", "start"], [points[points.length - 1], "last", "now"]];
    for (const [point, kind, name] of ends) {
      svg.append(node("circle", { cx: x(point[0]), cy: y(point[1]), r: 6, class: kind }));
      svg.append(node("text", { x: x(point[0]) + (x(point[0]) > width - 90 ? -10 : 10), y: y(point[1]) - 8, "text-anchor": x(point[0]) > width - 90 ? "end" : "start" }, name));
    }
  }

  place.replaceChildren(svg);
}
