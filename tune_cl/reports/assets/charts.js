// Plots as inline SVG: axes, lines, marks, bands. Colours come from the style sheet, sizes from the space there is.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { top: 10, right: 16, bottom: 42 };
const LETTER = 7; // pixels of a digit

/** An HTML element; attributes whose value is null are left out, and children that are texts are never markup. */
function el(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** An SVG element. */
function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

// --- numbers as text ------------------------------------------------------------------------------------------------

const score = (value) => (value === null || value === undefined ? "–" : value.toFixed(4).replace(/^-(0\.0+)$/, "$1"));
const signed = (value) => (value === null ? "–" : (value < 0 ? "−" : "+") + Math.abs(value).toFixed(4));
const number = (trial) => String(trial).padStart(4, "0");

/** A parameter's value: numbers with four significant digits. */
function setting(value) {
  if (typeof value !== "number") return value === null || value === undefined ? "–" : String(value);
  return Number.isInteger(value) ? String(value) : tidy(value, 4);
}

function tidy(value, digits) {
  const text = Number(value.toPrecision(digits));
  return Math.abs(text) >= 1e6 || (text !== 0 && Math.abs(text) < 1e-3) ? text.toExponential().replace("e+", "e") : String(text);
}

function count(value) {
  if (value < 10000) return String(Math.round(value));
  return value < 1e6 ? `${(value / 1e3).toFixed(1)} k` : `${(value / 1e6).toFixed(2)} M`;
}

function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (n) => String(n).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

// --- scales ---------------------------------------------------------------------------------------------------------

/** Round numbers that cover an interval, about so many. */
function niceTicks(low, high, about = 5) {
  const span = high - low || Math.abs(high) || 1;
  const raw = span / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= raw * 0.999);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

function logTicks(low, high) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) ticks.push(10 ** power);
  const within = ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  return within.length > 1 ? within : [low, high];
}

/** A scale from values to pixels, with its ticks: {at(value), ticks, text(tick)}. */
function scaleOf(axis, from, to) {
  if (axis.choices) {
    const gap = (to - from) / axis.choices.length;
    const place = (value) => from + gap * (axis.choices.findIndex((choice) => choice === value) + 0.5);
    return { at: place, ticks: axis.choices, text: String };
  }
  let [low, high] = axis.domain;
  if (low === high) [low, high] = axis.log ? [low / 2, high * 2] : [low - (Math.abs(low) * 0.05 || 0.5), high + (Math.abs(high) * 0.05 || 0.5)];
  const way = axis.log ? Math.log : (value) => value;
  const at = (value) => from + ((way(value) - way(low)) / (way(high) - way(low))) * (to - from);
  const room = Math.max(2, Math.round(Math.abs(to - from) / (axis.every || 80)));
  const ticks = axis.ticks || (axis.log ? logTicks(low, high) : niceTicks(low, high, room));
  const decimals = axis.log ? 0 : Math.max(0, ...ticks.map((tick) => (String(tidy(tick, 6)).split(".")[1] || "").length));
  const text = axis.text || ((tick) => (axis.log || decimals > 4 ? tidy(tick, 3) : tick.toFixed(decimals)));
  return { at, ticks, text };
}

/** The interval of some values, a little wider; of undefined ones nothing. */
function extent(values, pad = 0.06) {
  const known = values.filter((value) => value !== null && value !== undefined && Number.isFinite(value));
  if (!known.length) return null;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const more = (high - low || Math.abs(high) * 0.1 || 1) * pad;
  return [low - more, high + more];
}

// --- a plot ---------------------------------------------------------------------------------------------------------

/**
 * A figure that draws itself, and again whenever its width changes.
 *
 * spec: {title, caption, height, legend: [[class, words, colour]], x, y: axes {label, domain, log, choices, ticks, text},
 * bands: [{class, points: [[x, low, high]]}], lines: [{class, points: [[x, y]], step, tip}],
 * marks: [{class, x, y, shape, tip, trial}], bars: [{class, x, y, place, of}], intervals: [{class, y, low, high}], zero}.
 * Each may have a colour of its own, for the class `own`. Where `draw` is given it draws everything instead.
 */
function plot(spec) {
  const place = el("div", { class: "plot", style: `height: ${spec.height || 300}px` });
  place.redraw = () => {
    const width = place.clientWidth;
    if (width) place.replaceChildren(drawn(spec, width, spec.height || 300));
  };
  watchWidth.observe(place);
  return el(
    "figure",
    { class: spec.wide ? "wide" : null },
    spec.title ? el("h3", {}, spec.title) : null,
    spec.controls || null,
    spec.legend ? legend(spec.legend) : null,
    place,
    spec.caption ? el("figcaption", {}, spec.caption) : null,
  );
}

const watchWidth = new ResizeObserver((entries) => entries.forEach((entry) => entry.target.redraw()));

function legend(entries) {
  const key = ([kind, words, colour]) => {
    const shape = kind.includes("stopped") || kind.includes("square") ? "square" : kind.includes("default") || kind.includes("diamond") ? "diamond" : "circle";
    const mark = kind.includes("line")
      ? svg("line", { x1: 0, x2: 18, y1: 6, y2: 6, class: kind })
      : shapeAt(9, 6, shape, `mark ${kind}`, 4.5);
    owned(mark, colour);
    return el("li", {}, svg("svg", { width: 18, height: 12, "aria-hidden": "true" }, mark), words);
  };
  return el("ul", { class: "legend" }, entries.map(key));
}

function drawn(spec, width, height) {
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": described(spec) });
  root.append(svg("title", {}, spec.title || spec.label || ""), svg("desc", {}, spec.caption || ""));
  if (spec.draw) {
    spec.draw(root, width, height);
    return root;
  }
  const y = scaleOf({ every: 52, ...spec.y }, height - MARGIN.bottom, MARGIN.top);
  const widest = Math.max(...y.ticks.map((tick) => String(y.text(tick)).length));
  const left = Math.min(14 + LETTER * widest + (spec.y.label ? 20 : 0), width * 0.45);
  const margin = { ...MARGIN, left };
  const x = scaleOf(spec.x, margin.left, width - margin.right);
  root.append(axes(spec, x, y, width, height, margin));
  for (const band of spec.bands || []) {
    const there = band.points.map(([at, , high]) => `${x.at(at)},${y.at(high)}`);
    const back = band.points.map(([at, low]) => `${x.at(at)},${y.at(low)}`).reverse();
    root.append(owned(svg("polygon", { points: [...there, ...back].join(" "), class: `band ${band.class}` }), band.colour));
  }
  if (spec.zero) root.append(svg("line", { x1: x.at(0), x2: x.at(0), y1: margin.top, y2: height - margin.bottom, class: "zero" }));
  for (const bar of spec.bars || []) root.append(barOf(bar, x, y));
  for (const { y: row, low, high, colour, class: kind } of spec.intervals || []) {
    const [from, to, at] = [x.at(low), x.at(high), y.at(row)];
    root.append(owned(svg("path", { d: `M${from},${at}H${to}M${from},${at - 5}v10M${to},${at - 5}v10`, class: `line ${kind}` }), colour));
  }
  for (const line of spec.lines || []) root.append(lineOf(line, x, y));
  for (const mark of spec.marks || []) {
    const node = shapeAt(x.at(mark.x), y.at(mark.y), mark.shape || "circle", `mark ${mark.class}`, mark.size || 4.5);
    owned(node, mark.colour);
    if (mark.tip) node.dataset.tip = mark.tip;
    if (mark.trial !== undefined) node.dataset.trial = mark.trial;
    root.append(node);
  }
  return root;
}

function owned(node, colour) {
  if (colour) node.style.setProperty("--own", colour);
  return node;
}

function barOf(bar, x, y) {
  const gap = Math.abs(x.ticks.length > 1 ? x.at(x.ticks[1]) - x.at(x.ticks[0]) : 60) * 0.72;
  const each = gap / bar.of;
  const left = x.at(bar.x) - gap / 2 + each * bar.place;
  const node = svg("rect", { x: left + 0.5, y: Math.min(y.at(bar.y), y.at(0)), width: Math.max(1, each - 1), height: Math.abs(y.at(0) - y.at(bar.y)), class: `bar-of ${bar.class}`, "data-tip": bar.tip });
  return owned(node, bar.colour);
}

const described = (spec) => [spec.title || spec.label, spec.caption].filter(Boolean).join(". ");

function axes(spec, x, y, width, height, margin) {
  const group = svg("g", { class: "axes", "aria-hidden": "true" });
  const bottom = height - margin.bottom;
  for (const tick of y.ticks) {
    const at = Math.round(y.at(tick)) + 0.5;
    group.append(svg("line", { x1: margin.left, x2: width - margin.right, y1: at, y2: at, class: "grid" }));
    const text = String(y.text(tick));
    const room = Math.floor((margin.left - 14) / LETTER);
    const cut = text.length > room + 1 ? `${text.slice(0, room - 1)}…` : text;
    group.append(svg("text", { x: margin.left - 8, y: at + 4, "text-anchor": "end", "data-tip": cut === text ? null : text }, cut));
  }
  group.append(svg("line", { x1: margin.left, x2: width - margin.right, y1: bottom + 0.5, y2: bottom + 0.5, class: "base" }));
  for (const tick of x.ticks) {
    group.append(svg("line", { x1: x.at(tick), x2: x.at(tick), y1: bottom, y2: bottom + 4, class: "base" }));
    group.append(svg("text", { x: x.at(tick), y: bottom + 17, "text-anchor": "middle" }, x.text(tick)));
  }
  if (spec.x.label) group.append(svg("text", { x: (margin.left + width - margin.right) / 2, y: height - 6, "text-anchor": "middle", class: "label" }, spec.x.label));
  const middle = (margin.top + bottom) / 2;
  if (spec.y.label) group.append(svg("text", { x: 13, y: middle, transform: `rotate(-90 13 ${middle})`, "text-anchor": "middle", class: "label" }, spec.y.label));
  return group;
}

function lineOf(line, x, y) {
  const points = line.points.filter(([, value]) => value !== null && value !== undefined);
  const path = points.map(([at, value], i) => {
    const to = `${x.at(at)},${y.at(value)}`;
    if (!i) return `M${to}`;
    return line.step ? `H${x.at(at)}V${y.at(value)}` : `L${to}`;
  });
  return owned(svg("path", { d: path.join(""), class: `line ${line.class}`, "data-tip": line.tip, "data-trial": line.trial }), line.colour);
}

function shapeAt(x, y, shape, kind, r) {
  if (shape === "square") return svg("rect", { x: x - r + 0.5, y: y - r + 0.5, width: 2 * r - 1, height: 2 * r - 1, class: kind });
  if (shape === "diamond") return svg("path", { d: `M${x},${y - r - 1.5}L${x + r + 1.5},${y}L${x},${y + r + 1.5}L${x - r - 1.5},${y}Z`, class: kind });
  if (shape === "cross") return svg("path", { d: `M${x - r},${y - r}L${x + r},${y + r}M${x - r},${y + r}L${x + r},${y - r}`, class: `${kind} open` });
  return svg("circle", { cx: x, cy: y, r, class: kind });
}

// --- what is under the pointer --------------------------------------------------------------------------------------

function showTips(tip) {
  document.addEventListener("pointermove", (event) => {
    const text = event.target.closest ? event.target.closest("[data-tip]")?.dataset.tip : null;
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8);
    const above = event.clientY + 18 + tip.offsetHeight > window.innerHeight;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above ? event.clientY - tip.offsetHeight - 12 : event.clientY + 18}px`;
  });
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
}

/** The colour of a cell of a heat map, of a share from 0 to 1: light enough for dark text, dark enough for light text. */
const heatOf = (share) => `color-mix(in srgb, var(--heat) ${Math.round(5 + 65 * share)}%, var(--card))`;

/** A text that may be broken after the dots and underscores of a path; anything else as it is. */
function foldable(content) {
  return typeof content === "string" ? content.split(/(?<=[._/])/).flatMap((part) => [part, el("wbr")]) : content;
}

// --- tables ---------------------------------------------------------------------------------------------------------

/** A table in a sheet that scrolls by itself. columns: [{head, words, title}]; rows: lists of texts or elements. */
function table(title, columns, rows, { note = "", kind = "" } = {}) {
  const heads = columns.map((column) => el("th", { scope: "col", class: column.words ? "words" : null, title: column.title }, column.head));
  const cell = (content, i) => (i ? el("td", { class: columns[i].words ? "words" : null }, content) : el("th", { scope: "row", class: "words" }, foldable(content)));
  const body = rows.map((row) => el("tr", { class: row.kind }, row.map(cell)));
  return el(
    "div",
    { class: `sheet ${kind}`, tabindex: 0, role: "region", "aria-label": title },
    el("table", {}, el("caption", {}, title), el("thead", {}, el("tr", {}, heads)), el("tbody", {}, body)),
    note ? el("p", { class: "note" }, note) : null,
  );
}

// --- files ----------------------------------------------------------------------------------------------------------

/** Rows of texts as a file of comma-separated values. A text that a spreadsheet would take for a formula is defused. */
function csv(rows) {
  const safe = (text) => (/^[=+@\t\r]|^-(?![\d.])/.test(text) ? `'${text}` : text);
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : typeof value === "string" ? safe(value) : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(cell).join(",") + "\r\n").join("");
}

/** Rows of texts as a LaTeX table (package booktabs); the first row is its head. */
function latex(rows, caption) {
  const marks = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "–": "--", "−": "$-$" };
  const safe = (value) => String(value ?? "").replace(/[\\~^–−]|[&%$#_{}]/g, (letter) => marks[letter] || `\\${letter}`);
  const [head, ...body] = rows.map((row) => row.map(safe).join(" & ") + " \\\\");
  const columns = "l" + "r".repeat(rows[0].length - 1);
  return ["\\begin{table}", "  \\centering", `  \\caption{${safe(caption)}}`, `  \\begin{tabular}{${columns}}`, "    \\toprule", `    ${head}`, "    \\midrule", ...body.map((row) => `    ${row}`), "    \\bottomrule", "  \\end{tabular}", "\\end{table}", ""].join("\n");
}

function save(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
