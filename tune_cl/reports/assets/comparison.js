// Draws the plots of a comparison from their data.
"use strict";

const mine = (series, more = "") => `own ${series.hollow ? "hollow" : ""} ${series.faint ? "faint" : ""} ${more}`;

/** The axes, lines, marks, bands, bars and intervals of a plot, as `plot` in charts.js takes them. */
function specOf(found) {
  const rows = found.kind === "rows";
  const all = found.series.flatMap((series) => series.points.map(([x, y]) => (rows ? x : y)));
  const ends = found.series.flatMap((series) => series.band.flatMap(([, low, high]) => [low, high]));
  const values = { domain: extent([...all, ...ends, ...(found.zero ? [0] : [])]), label: rows ? found.x : found.y };
  if (found.kind === "bars") values.domain = [Math.min(0, ...all), Math.max(0, ...all) * 1.04];
  const places = found.categories.length ? { choices: rows ? [...found.categories].reverse() : found.categories } : placesOf(found);
  const legend = found.keys.map(([label, colour, shape]) => [`own ${shape}`, label, colour]);
  const spec = { title: found.title, caption: found.caption, height: found.height, legend, lines: [], marks: [], bands: [], bars: [], intervals: [] };
  Object.assign(spec, rows ? { x: values, y: places, zero: found.zero } : { x: { ...places, label: found.x }, y: values });
  found.series.forEach((series, i) => {
    const look = { colour: series.colour, class: mine(series) };
    const tip = (at) => series.tips[at];
    if (found.kind === "bars") {
      spec.bars.push(...series.points.map(([x, y], at) => ({ ...look, x, y, tip: tip(at), place: i, of: found.series.length })));
      return;
    }
    if (rows) spec.intervals.push(...series.band.map(([row, low, high]) => ({ ...look, y: row, low, high })));
    else if (series.band.length) spec.bands.push({ ...look, points: series.band });
    if (series.line) spec.lines.push({ ...look, class: `${look.class} ${series.line.includes("dotted") ? "dotted" : ""}`, step: series.line.includes("step"), points: series.points });
    if (series.shape) spec.marks.push(...series.points.map(([x, y], at) => ({ ...look, x, y, shape: series.shape, tip: tip(at), size: rows && !series.faint ? 6 : 4 })));
  });
  return spec;
}

function placesOf(found) {
  const xs = found.series.flatMap((series) => series.points.map(([x]) => x));
  if (found.ticks.length) return { domain: [found.ticks[0] - 0.15, found.ticks[found.ticks.length - 1] + 0.15], ticks: found.ticks, text: String };
  const most = Math.max(...xs);
  if (found.x === "trials") return { domain: [0.7, most + 0.3], ticks: niceTicks(1, most, 10).filter(Number.isInteger), text: String };
  return { domain: [Math.min(0, ...xs), most * 1.03], text: most >= 10000 ? count : null, every: 90 };
}

for (const found of JSON.parse(document.getElementById("figures").textContent)) {
  const place = document.getElementById(`plot-${found.name}`);
  const figure = plot({ ...specOf(found), wide: found.wide });
  figure.id = place.id;
  place.replaceWith(figure);
}
for (const cell of document.querySelectorAll(".heat td[data-share]")) cell.style.background = heatOf(Number(cell.dataset.share));
showTips(document.getElementById("tip"));
document.documentElement.dataset.drawn = "yes";
