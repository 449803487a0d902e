// The charts of the overview. Colours are those of the style sheet, so they follow light and dark.
"use strict";

const holder = document.querySelector("[data-charts]");
const plots = [];
// Two lines of the legend, as a phone needs them.
const LEGEND_PX = 72;

function colour(plot, look) {
  const probe = document.createElement("span");
  probe.className = `look-${look}`;
  plot.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function draw(figure, at, lines) {
  const plot = figure.querySelector(".plot");
  const names = figure.dataset.lines.split("|");
  const looks = figure.dataset.looks.split("|");
  const text = getComputedStyle(plot).color;
  const grid = { stroke: colour(plot, "line"), width: 1 };
  const series = names.map((label, index) => ({ label, stroke: colour(plot, looks[index]), width: 2, spanGaps: false, points: { size: 4 }, dash: index ? [6, 3 + index] : [] }));
  const options = {
    width: plot.clientWidth,
    height: plot.clientHeight - LEGEND_PX,
    series: [{ label: "time", value: (_, seconds) => (seconds === null ? "–" : new Date(seconds * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })) }, ...series],
    axes: [
      { stroke: text, grid, ticks: grid, values: (_, ticks) => ticks.map((one) => new Date(one * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })) },
      { stroke: text, grid, ticks: grid, size: 52 },
    ],
    scales: { y: { range: (_, low, high) => [0, Math.max(1, high ?? 0) * 1.1] } },
    cursor: { drag: { x: false, y: false } },
  };
  plot.replaceChildren();
  return new uPlot(options, [at, ...lines], plot);
}

async function show() {
  if (document.hidden) return;
  const answer = await fetch(holder.dataset.charts, { headers: { Accept: "application/json" } });
  if (!answer.ok) return;
  const found = await answer.json();
  plots.length = 0;
  for (const figure of holder.querySelectorAll("[data-chart]")) plots.push(draw(figure, found.at, found[figure.dataset.chart]));
  holder.dataset.drawn = "yes";
}

if (holder !== null) {
  show();
  setInterval(show, 30000);
  window.addEventListener("resize", () => {
    for (const plot of plots) plot.setSize({ width: plot.root.parentElement.clientWidth, height: plot.root.parentElement.clientHeight - LEGEND_PX });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
}
