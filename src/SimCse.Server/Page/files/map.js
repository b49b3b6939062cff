import { call, say } from "/page/server.js";

const canvas = document.getElementById("map"), figure = document.getElementById("map-figure"), tip = document.getElementById("map-tip"), text = document.getElementById("map-text");
const mark = document.getElementById("mark");
let points = [], view = { x: 0, y: 0, scale: 1 }, loaded = false, drag = null, hovered = null;

// view.x, view.y: the place of the points that is in the middle; view.scale: pixels for a unit.
const size = () => ({ width: canvas.clientWidth, height: canvas.clientHeight });
const toScreen = point => [(point.x - view.x) * view.scale + size().width / 2, size().height / 2 - (point.y - view.y) * view.scale];
const isMarked = point => mark.value.length > 0 && point.text.toLowerCase().includes(mark.value.toLowerCase());

export async function show() {
  if (loaded) {
    draw();
    return;
  }

  say("map-status", "Computing the map …");
  try {
    const map = await call("/index/map");
    points = map.points;
    const share = map.explained.map(part => `${Math.round(part * 100)} %`).join(" and ");
    say("map-status", points.length === 0 ? "The index is empty." : `${points.length.toLocaleString("en")} of ${map.entries.toLocaleString("en")} texts; the two axes show ${share} of the variance.`);
    figure.hidden = points.length === 0;
    loaded = size().width > 0; // else the view was left meanwhile, and is laid out when it is shown again
    showAll();
  } catch (error) {
    say("map-status", error.message, true);
  }
}

function showAll() {
  if (points.length === 0) {
    return;
  }

  const xs = points.map(p => p.x), ys = points.map(p => p.y);
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  view = { x: (x0 + x1) / 2, y: (y0 + y1) / 2, scale: 0.9 * Math.min(size().width / (x1 - x0 || 1), size().height / (y1 - y0 || 1)) };
  draw();
  describe();
}

// Keeps the point under (px, py) where it is.
function zoom(factor, px = size().width / 2, py = size().height / 2) {
  const dx = px - size().width / 2, dy = size().height / 2 - py;
  const scale = Math.min(Math.max(view.scale * factor, 1e-3), 1e7);
  view = { x: view.x + dx / view.scale - dx / scale, y: view.y + dy / view.scale - dy / scale, scale };
  draw();
}

function draw() {
  const { width, height } = size(), dots = window.devicePixelRatio || 1, style = getComputedStyle(document.documentElement);
  canvas.width = width * dots;
  canvas.height = height * dots;
  const context = canvas.getContext("2d");
  context.scale(dots, dots);
  const colour = name => style.getPropertyValue(name).trim();
  const radius = Math.min(6, Math.max(2.5, 2.5 * Math.log10(view.scale / 50 + 1)));
  for (const pass of [false, true]) {
    context.fillStyle = colour(pass ? "--series-2" : "--series-1");
    context.globalAlpha = pass ? 1 : mark.value ? 0.35 : 0.65;
    for (const point of points) {
      if (isMarked(point) === pass) {
        const [x, y] = toScreen(point);
        if (x > -9 && y > -9 && x < width + 9 && y < height + 9) {
          context.beginPath();
          context.arc(x, y, pass ? radius + 1.5 : radius, 0, 2 * Math.PI);
          context.fill();
        }
      }
    }
  }

  context.globalAlpha = 1;
  context.strokeStyle = colour("--text");
  context.lineWidth = 2;
  if (hovered) {
    const [x, y] = toScreen(hovered);
    context.beginPath();
    context.arc(x, y, radius + 4, 0, 2 * Math.PI);
    context.stroke();
  }

  if (document.activeElement === canvas) {
    context.beginPath();
    context.moveTo(width / 2 - 8, height / 2);
    context.lineTo(width / 2 + 8, height / 2);
    context.moveTo(width / 2, height / 2 - 8);
    context.lineTo(width / 2, height / 2 + 8);
    context.stroke();
  }
}

function nearest(px, py, within) {
  let best = null, distance = within ** 2;
  for (const point of points) {
    const [x, y] = toScreen(point), d = (x - px) ** 2 + (y - py) ** 2;
    if (d < distance) {
      [best, distance] = [point, d];
    }
  }

  return best;
}

const atCross = () => nearest(size().width / 2, size().height / 2, Infinity);

function describe() {
  const point = document.activeElement === canvas ? atCross() : hovered;
  text.textContent = point ? `${point.id}: ${point.text}` : "";
}

function hover(event) {
  const box = canvas.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
  hovered = nearest(px, py, 14);
  tip.hidden = hovered === null;
  if (hovered) {
    tip.textContent = hovered.text.length > 160 ? `${hovered.text.slice(0, 160)}…` : hovered.text;
    tip.style.left = `${Math.min(px + 12, Math.max(0, size().width - tip.offsetWidth - 8))}px`;
    tip.style.top = `${py + tip.offsetHeight + 20 > size().height ? Math.max(0, py - tip.offsetHeight - 12) : py + 14}px`;
  }

  draw();
}

const searchFor = point => location.hash = `#search=${encodeURIComponent(point.text)}`;

canvas.addEventListener("pointerdown", event => {
  drag = { x: event.clientX, y: event.clientY, moved: 0 };
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", event => {
  if (drag) {
    const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
    view = { ...view, x: view.x - dx / view.scale, y: view.y + dy / view.scale };
    drag = { x: event.clientX, y: event.clientY, moved: drag.moved + Math.abs(dx) + Math.abs(dy) };
  }

  hover(event);
});
canvas.addEventListener("pointerup", event => {
  const clicked = drag !== null && drag.moved < 5;
  drag = null;
  hover(event);
  if (clicked && hovered) {
    searchFor(hovered);
  }
});
canvas.addEventListener("pointerleave", () => {
  hovered = null;
  tip.hidden = true;
  draw();
});
canvas.addEventListener("wheel", event => {
  event.preventDefault();
  const box = canvas.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });
canvas.addEventListener("keydown", event => {
  const step = 40 / view.scale;
  const actions = {
    ArrowLeft: () => view.x -= step,
    ArrowRight: () => view.x += step,
    ArrowUp: () => view.y += step,
    ArrowDown: () => view.y -= step,
    "+": () => zoom(1.4),
    "=": () => zoom(1.4),
    "-": () => zoom(1 / 1.4),
    0: showAll,
    Enter: () => searchFor(atCross()),
  };
  if (actions[event.key] && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    actions[event.key]();
    draw();
    describe();
  }
});
for (const name of ["focus", "blur"]) {
  canvas.addEventListener(name, () => {
    draw();
    describe();
  });
}

document.getElementById("zoom-in").addEventListener("click", () => zoom(1.4));
document.getElementById("zoom-out").addEventListener("click", () => zoom(1 / 1.4));
document.getElementById("zoom-all").addEventListener("click", showAll);
mark.addEventListener("input", draw);
new ResizeObserver(() => loaded && draw()).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => loaded && draw());
