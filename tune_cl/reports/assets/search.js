// The page of a search: fills the sections of the skeleton from the search's record, and again when it has grown.
"use strict";

const STATES = ["finished", "stopped", "failed", "running"];
const { live, version, view: first } = JSON.parse(document.getElementById("data").textContent);
const open = new Set(); // trials whose rows are open
const wanted = { sort: "trial", down: false, text: "", state: "all", over: "trials" };
let view = first;

const better = (a, b) => (view.record.direction === "max" ? a > b : a < b);
const known = (value) => value !== null && value !== undefined;
const trialOf = (n) => view.trials.find((trial) => trial.trial === n);
const best = () => (view.best === null ? null : trialOf(view.best));
const first0 = () => trialOf(0);
const other = () => (first0() && view.best !== 0 ? first0() : null); // the default, where it is not the winner
const kind = (trial) => (trial.trial === view.best ? "chosen" : trial.trial === 0 ? "default" : trial.state);
const shape = (trial) => (trial.trial === 0 ? "diamond" : trial.state === "stopped" ? "square" : "circle");
const last = (trial) => trial.steps[trial.steps.length - 1];
const searched = () => Object.keys(view.record.ranges);
const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
const Words = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** The end of a parameter's path that no other one has: 'weight_ce', 'generator.learning_rate'. */
function short(path) {
  const parts = path.split(".");
  for (let n = 1; n < parts.length; n++) {
    const tail = parts.slice(-n).join(".");
    if (searched().filter((other) => other === tail || other.endsWith(`.${tail}`)).length === 1) return tail;
  }
  return path;
}

function tipOf(trial, more = "") {
  const head = `trial ${number(trial.trial)}${trial.trial === view.best ? ", the winner" : trial.trial === 0 ? ", the default" : ""}: ${trial.state}`;
  const where = trial.state === "stopped" || trial.state === "failed" ? ` after increment ${trial.steps.length - 1}` : "";
  return [head + where + (trial.reason ? ` (${trial.reason})` : ""), more].filter(Boolean).join("\n");
}

const shown = (trial) => `${view.objective} ${score(trial.value)}`;
const stateKeys = () => {
  const keys = [];
  if (best()) keys.push(["chosen", "winner"]);
  if (first0()) keys.push(["default", view.best === 0 ? "" : "default"]);
  for (const state of STATES) if (view.trials.some((trial) => trial.state === state && kind(trial) === state)) keys.push([state, state]);
  return keys.filter(([, words]) => words);
};
const lineKeys = () => stateKeys().map(([name, words]) => [`line ${name}`, words]);

// --- head -----------------------------------------------------------------------------------------------------------

function head() {
  const { record } = view;
  const counts = STATES.map((state) => [state, view.trials.filter((trial) => trial.state === state).length]).filter(([, n]) => n);
  const facts = {
    stream: record.stream.name,
    budget: `${record.budget} (${record.scale})`,
    objective: `${view.objective}, ${record.direction === "max" ? "more" : "less"} is better`,
    "judged after": `increment ${record.horizon} (protocol ${record.protocol})`,
    sampler: record.sampler,
    "early stopping": record.scheduler,
    trials: `${counts.map(([state, n]) => `${n} ${state}`).join(", ")} of ${record.trials}`,
    seeds: ["search", "order", "split", "train"].map((name) => `${name} ${record.seeds[name]}`).join(", "),
  };
  const status = live ? (view.status === "ended" ? "ended" : "live") : view.status === "ended" ? "ended" : "unfinished";
  document.getElementById("head").replaceChildren(
    el("p", { class: "over" }, `Search of ${record.method} on ${record.stream.name}`),
    el("h1", {}, record.name, " ", el("span", { class: `status ${status === "live" ? "running" : ""}` }, status)),
    el("dl", { class: "facts" }, Object.entries(facts).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
  );
}

// --- result ---------------------------------------------------------------------------------------------------------

function result() {
  const winner = best();
  if (!winner) return [el("p", { class: "empty" }, view.status === "ended" ? "No trial has finished, so there is no best configuration." : "No trial has finished yet.")];
  return [cards(winner), judgement(), finalists(), cautions(), changes(winner)];
}

function cards(winner) {
  const card = (name, title, value, text) => el("li", { class: `card ${name}` }, el("h3", {}, title), el("p", { class: "value" }, value), el("p", { class: "soft" }, text));
  const race = view.finalists?.gain;
  const error = race ? `95 % interval ${signed(race.low)} to ${signed(race.high)}, ${plural(view.finalists.fresh_seeds.length, "fresh train seed")}` : known(view.gain_error) ? `standard error by the images scored: at most ${view.gain_error.toFixed(4)}` : `best of ${view.trials.filter((t) => t.state === "finished").length} finished trials`;
  const list = [card("chosen", "Winner", score(view.value), `trial ${number(winner.trial)}, ${view.objective}`)];
  list.push(card("default", "Default", score(view.default_value), first0() && known(view.default_value) ? "trial 0000, the space's own values" : "trial 0000 has not finished"));
  if (known(view.gain)) list.push(card("gain", "Gain over the default", winner.trial ? signed(view.gain) : "none", winner.trial ? error : "the default is the best"));
  if (known(view.frozen_value)) list.push(card("frozen", "Never training again", score(view.frozen_value), "the winner's base task, left as it is"));
  return el("ul", { class: "cards" }, list);
}

function judgement() {
  const found = view.judgement;
  if (!found) return null;
  const badge = { real: "more than noise", "within noise": "within noise", unknown: "not known yet" }[found.kind];
  return el(
    "div",
    { class: "judgement" },
    el("span", { class: `badge ${found.kind.replace(" ", "-")}` }, badge),
    el("p", {}, found.sentence, found.command ? " To know, evaluate on test data:" : ""),
    found.command ? el("pre", { tabindex: 0 }, el("code", {}, found.command)) : null,
  );
}

/** The means over train seeds by which the winner was chosen. */
function finalists() {
  const race = view.finalists;
  if (!race) return null;
  const columns = [{ head: "trial", words: true }, { head: "mean" }, ...race.seeds.map((seed) => ({ head: `seed ${seed}` }))];
  const rows = race.table.map((line) => [`${number(line.trial)}${line.trial === race.winner ? ", the winner" : line.trial === 0 ? ", the default" : ""}`, score(line.mean), ...line.values.map(score)]);
  const left = race.missing ? ` At most ${plural(race.missing, "run")} left.` : "";
  const failed = Object.entries(race.failed).map(([run, why]) => ` ${run} failed: ${why}.`).join("");
  return table(`Finalists under ${plural(race.seeds.length, "train seed")}`, columns, rows, { note: `The best mean wins. Beside the trials: ${plural(race.runs, "run")}, ${count(race.images_trained)} images, ${duration(race.seconds)} of training, over the base tasks of the trials.${left}${failed}` });
}

function cautions() {
  const warned = view.trials.flatMap((trial) => trial.warnings.map((warning) => [warning, trial.trial]));
  const byText = new Map();
  for (const [warning, trial] of warned) byText.set(warning, [...(byText.get(warning) || []), trial]);
  const few = (trials) => trials.slice(0, 5).map(number).join(", ") + (trials.length > 5 ? ` and ${trials.length - 5} more` : "");
  const list = [...view.cautions, ...[...byText].map(([warning, trials]) => `Trial${trials.length > 1 ? "s" : ""} ${few(trials)}, ${warning}`)];
  return list.length ? el("div", { class: "bear cautions" }, el("h3", {}, "Cautions"), el("ul", {}, list.map((text) => el("li", {}, text)))) : null;
}

function changes(winner) {
  const rows = searched().map((path) => {
    const [was, is] = [view.record.default[path], winner.parameters[path]];
    const row = [path, setting(was), was === is ? "=" : "→", setting(is), rail(path, was, is), rangeText(view.record.ranges[path])];
    row[2] = el("span", { class: "arrow" }, row[2]);
    row.kind = was === is ? "same" : null;
    return row;
  });
  if (!rows.length) return el("p", { class: "soft" }, "Nothing was searched: the space has no range.");
  const columns = [{ head: "parameter", words: true }, { head: "default" }, { head: "" }, { head: "winner" }, { head: "in its range", words: true }, { head: "range", words: true }];
  return table(winner.trial ? "What the winner changes" : "What was searched (the default is the best)", columns, rows);
}

function rangeText(range) {
  const name = ["log", "uniform", "int", "choice"].find((key) => key in range);
  return name === "choice" ? range.choice.join(" | ") : `${name === "uniform" ? "" : `${name} `}${range[name].map((end) => tidy(end, 4)).join(" … ")}`;
}

const axisOf = (path) => {
  const range = view.record.ranges[path];
  if (range.choice) return { choices: range.choice };
  return { domain: range.log || range.uniform || range.int, log: "log" in range };
};

function rail(path, was, is) {
  const scale = scaleOf(axisOf(path), 6, 104);
  const at = (value) => Math.min(104, Math.max(6, scale.at(value)));
  const root = svg("svg", { class: "range", width: 110, height: 12, viewBox: "0 0 110 12", role: "img", "aria-label": `default ${setting(was)}, winner ${setting(is)}` });
  root.append(svg("line", { x1: 6, x2: 104, y1: 6, y2: 6, class: "rail" }));
  if (known(was)) root.append(shapeAt(at(was), 6, "diamond", "mark default", 3.5));
  if (known(is)) root.append(shapeAt(at(is), 6, "circle", "mark chosen", 4));
  return root;
}

// --- along the stream -----------------------------------------------------------------------------------------------

function stream() {
  const compared = [[best(), "chosen", "winner"], [other(), "default", "default"]].filter(([trial]) => trial && trial.steps.length);
  if (!compared.length) return [el("p", { class: "empty" }, "No increment has been reported yet.")];
  const horizon = view.record.horizon;
  const increments = Array.from({ length: horizon + 1 }, (_, t) => t);
  const lines = compared.map(([trial, name]) => ({ class: name, points: trial.steps.map((step, t) => [t, step.accuracy]) }));
  if (view.frozen_curve.length) lines.push({ class: "frozen", points: view.frozen_curve.map((value, t) => [t, value]) });
  const marks = compared.flatMap(([trial, name]) => trial.steps.filter((step) => known(step.accuracy)).map((step, t) => ({ class: name, x: t, y: step.accuracy, shape: shape(trial), trial: trial.trial, tip: tipOf(trial, `accuracy after increment ${t}: ${score(step.accuracy)}\nold classes ${score(step.accuracy_old)}, new classes ${score(step.accuracy_new)}`) })));
  const keys = [...compared.map(([, name, words]) => [`line ${name}`, words]), ...(view.frozen_curve.length ? [["line frozen", "never training again"]] : [])];
  const x = { label: "increment", domain: [-0.15, horizon + 0.15], ticks: increments, text: (t) => (t ? String(t) : "base") };
  return [
    el("div", { class: "plots" },
      plot({ title: "Accuracy after each increment", legend: keys, x, y: { label: "accuracy", domain: extent(lines.flatMap((line) => line.points.map((p) => p[1]))) }, lines, marks, caption: "Over all classes seen so far, on validation images." }),
      oldAgainstNew()),
    streamTable(compared, increments),
  ];
}

function oldAgainstNew() {
  const there = view.trials.filter((trial) => trial.steps.length > 1 && known(last(trial).accuracy_old));
  const marks = there.map((trial) => ({ class: kind(trial), x: last(trial).accuracy_old, y: last(trial).accuracy_new, shape: shape(trial), size: trial.state === "finished" ? 5 : 3.5, trial: trial.trial, tip: tipOf(trial, `old classes ${score(last(trial).accuracy_old)}, new classes ${score(last(trial).accuracy_new)}`) }));
  if (!marks.length) return null;
  const order = { chosen: 3, default: 2, finished: 1 };
  marks.sort((a, b) => (order[a.class] || 0) - (order[b.class] || 0));
  return plot({ title: "Old classes against new ones", legend: stateKeys(), x: { label: "accuracy on old classes (stability)", domain: extent(marks.map((m) => m.x)) }, y: { label: "on new classes (plasticity)", domain: extent(marks.map((m) => m.y)) }, marks, caption: "Each trial after its last increment; a small mark stands for one that did not come to the end." });
}

function streamTable(compared, increments) {
  const rows = compared.map(([trial, , words]) => [words, ...increments.map((t) => score(trial.steps[t]?.accuracy)), score(trial.value), score(last(trial).forgetting), score(last(trial).accuracy_old), score(last(trial).accuracy_new)]);
  if (view.frozen_curve.length) rows.push(["never training again", ...increments.map((t) => score(view.frozen_curve[t])), score(view.frozen_value), "–", "–", "–"]);
  const columns = [{ head: "accuracy after", words: true }, ...increments.map((t) => ({ head: t ? `${t}` : "base" })), { head: view.objective }, { head: "forgetting" }, { head: "old classes" }, { head: "new classes" }];
  return table("Accuracy along the stream", columns, rows, { note: "Forgetting, old and new classes: after the last increment reported. Less forgetting is better." });
}

// --- accuracy matrix ------------------------------------------------------------------------------------------------

function matrix() {
  const compared = [[best(), "Winner"], [other(), "Default"]].filter(([trial]) => trial && trial.accuracy_matrix.length);
  if (!compared.length) return null;
  return [el("div", { class: "heats" }, compared.map(([trial, words]) => heat(`${words}, trial ${number(trial.trial)}`, trial.accuracy_matrix))),
    el("p", { class: "note" }, "Accuracy on the classes that arrived with a column's increment, after the row's increment was trained."),
    perClass()];
}

/** Every class by itself, the worst of the winner first. */
function perClass() {
  const rows = [...view.class_accuracy].sort((a, b) => (a.winner ?? 2) - (b.winner ?? 2));
  if (!rows.length) return null;
  const both = other() && rows.some((row) => known(row.default));
  const share = (value) => el("span", { class: "share", style: `--share: ${known(value) ? 100 * value : 0}%` }, score(value));
  const columns = [{ head: "class", words: true }, { head: "arrived with", words: true }, { head: "winner" }, ...(both ? [{ head: "default" }, { head: "difference" }] : [])];
  const line = (row) => [row.name, known(row.increment) ? (row.increment ? `increment ${row.increment}` : "base task") : "–", share(row.winner), ...(both ? [share(row.default), known(row.winner) && known(row.default) ? signed(row.winner - row.default) : "–"] : [])];
  const sheet = table("Accuracy on each class after the last increment", columns, rows.map(line), { note: "The class that the winner recognises worst comes first." });
  return rows.length > 20 ? el("details", {}, el("summary", {}, `Accuracy on each of ${rows.length} classes: from ${score(rows[0].winner)} (${rows[0].name}) to ${score(rows[rows.length - 1].winner)} (${rows[rows.length - 1].name})`), sheet) : sheet;
}

function heat(title, rows) {
  const columns = [{ head: "after", words: true }, ...view.classes.map((group) => ({ head: classHead(group), title: group.names.join(", ") }))];
  const body = view.classes.map((group, t) => [group.label, ...view.classes.map((_, i) => shade(rows[t]?.[i]))]);
  const sheet = table(title, columns, body, { kind: "heat" });
  for (const cell of sheet.querySelectorAll("td")) {
    const share = cell.firstChild?.dataset?.share;
    if (share === undefined) { cell.className = "empty"; continue; }
    cell.style.background = heatOf(share);
  }
  return sheet;
}

const shade = (value) => (known(value) ? el("span", { "data-share": value }, value.toFixed(3)) : "");

function classHead(group) {
  const names = group.names.length > 6 ? `${group.names.slice(0, 5).join(", ")} and ${group.names.length - 5} more` : group.names.join(", ");
  return [el("span", {}, group.label), names ? el("small", {}, names) : null];
}

// --- replayed images ------------------------------------------------------------------------------------------------

function replay() {
  const grids = view.pictures;
  if (!grids.length) return null;
  const trials = [...new Set(grids.map((grid) => grid.trial))];
  return [...trials.map((n) => [
    el("h3", {}, `${n === view.best ? "Winner" : "Default"}, trial ${number(n)}`),
    el("div", { class: "grids" }, grids.filter((grid) => grid.trial === n).map((grid) => pictureGrid(grid, trialOf(n)))),
  ]), el("p", { class: "note" }, "What the generator of each increment makes of the classes seen so far, beside training images of the same classes.")];
}

function pictureGrid(grid, trial) {
  const student = trial?.steps[grid.increment + 1]?.replay_student;
  const rows = grid.classes.map((entry) => [
    el("span", {}, entry.name),
    entry.real ? el("img", { src: entry.real, alt: `real images of ${entry.name}`, width: entry.width, height: entry.height }) : el("span", {}),
    el("img", { src: entry.replayed, alt: `replayed images of ${entry.name}`, width: entry.width, height: entry.height }),
  ]);
  const notes = [known(student) ? `A network trained on this replay alone has accuracy ${score(student)} on real images.` : "", grid.left_out ? `${plural(grid.left_out, "more class").replace("classs", "classes")} not shown.` : ""].filter(Boolean).join(" ");
  return el("figure", {}, el("h3", {}, `After ${grid.increment ? `increment ${grid.increment}` : "the base task"}`),
    el("div", { class: "pictures" }, el("b", {}, ""), el("b", {}, grid.classes.some((entry) => entry.real) ? "real" : ""), el("b", {}, "replayed"), rows),
    notes ? el("figcaption", {}, notes) : null);
}

// --- course of the search -------------------------------------------------------------------------------------------

function course() {
  if (!view.trials.some((trial) => trial.steps.length)) return [el("p", { class: "empty" }, "No increment has been reported yet.")];
  return [el("div", { class: "plots" }, [curves(), bestSoFar(), valueForCost()].filter(Boolean))];
}

function curves() {
  const trials = view.trials.filter((trial) => trial.steps.some((step) => known(step.objective)));
  const rank = { chosen: 3, default: 2, running: 1 };
  trials.sort((a, b) => (rank[kind(a)] || 0) - (rank[kind(b)] || 0));
  const lines = trials.map((trial) => ({ class: kind(trial), trial: trial.trial, tip: tipOf(trial, shown(trial)), points: trial.steps.map((step, t) => [t, step.objective]) }));
  const marks = trials.map((trial) => ({ class: kind(trial), x: trial.steps.length - 1, y: last(trial).objective, shape: trial.state === "failed" ? "cross" : shape(trial), trial: trial.trial, tip: tipOf(trial, shown(trial)) })).filter((mark) => known(mark.y));
  const horizon = view.record.horizon;
  const increments = Array.from({ length: horizon + 1 }, (_, t) => t);
  const stopped = view.trials.filter((trial) => trial.state === "stopped");
  const told = STOPS(stopped);
  return plot({ wide: true, height: 340, title: "Every trial, until it ended or was stopped", legend: lineKeys(), x: { label: "increment", domain: [-0.1, horizon + 0.1], ticks: increments, text: (t) => (t ? String(t) : "base") }, y: { label: view.objective, domain: extent(lines.flatMap((line) => line.points.map((p) => p[1]))) }, lines, marks, caption: told });
}

/** '4 stopped: 2 after increment 1, 2 after increment 2 (by the rule halving).' */
function STOPS(stopped) {
  if (!stopped.length) return `No trial was stopped early (early stopping: ${view.record.scheduler}).`;
  const where = new Map();
  for (const trial of stopped) where.set(trial.steps.length - 1, (where.get(trial.steps.length - 1) || 0) + 1);
  const reasons = [...new Set(stopped.map((trial) => trial.reason).filter(Boolean))];
  return `${stopped.length} stopped: ${[...where].sort((a, b) => a[0] - b[0]).map(([t, n]) => `${n} after ${t ? `increment ${t}` : "the base task"}`).join(", ")}${reasons.length ? ` (${reasons.join("; ")})` : ""}. Values of different increments are not comparable.`;
}

function bestSoFar() {
  const points = view.best_so_far.filter((point) => known(point.value));
  if (!points.length) return null;
  const ways = { trials: [(p) => p.trials, "trials that have ended", (v) => String(v)], images: [(p) => p.paid.images_trained, "images trained", count], time: [(p) => p.paid.seconds / 60, "training time in minutes", null] };
  const [of, label, text] = ways[wanted.over];
  const lines = [{ class: "chosen", step: true, points: points.map((p) => [of(p), p.value]) }];
  const bands = [];
  const expected = wanted.over === "trials" ? view.expected_best.filter((p) => known(p.value)) : [];
  if (expected.length > 1) {
    lines.push({ class: "expected", points: expected.map((p) => [p.trials, p.value]) });
    bands.push({ class: "expected", points: expected.filter((p) => known(p.low)).map((p) => [p.trials, p.low, p.high]) });
  }
  const choice = el("div", { class: "choice", role: "group", "aria-label": "over" }, Object.keys(ways).map((name) => el("button", { type: "button", "aria-pressed": String(name === wanted.over), onclick: () => { wanted.over = name; section("course", course()); document.querySelector("#course .choice [aria-pressed=true]").focus(); } }, name)));
  const xs = points.map(of);
  const domain = [Math.min(0, ...xs), Math.max(...xs) * 1.03];
  const ticks = wanted.over === "trials" ? niceTicks(0, domain[1], 8).filter(Number.isInteger) : null;
  const marks = points.map((p) => ({ class: "chosen", x: of(p), y: p.value, size: 3.5, tip: `${plural(p.trials, "trial")}, ${count(p.paid.images_trained)} images, ${duration(p.paid.seconds)}\nbest so far ${score(p.value)}` }));
  const values = [...points.map((p) => p.value), ...bands.flatMap((band) => band.points.flatMap(([, low, high]) => [low, high])), ...expected.map((p) => p.value)];
  return plot({ wide: !valueForCost(), title: "Best so far", controls: choice, legend: expected.length > 1 ? [["line chosen", "as it went"], ["line expected", "expected of so many trials"]] : null, x: { label, domain, ticks, text, every: 90 }, y: { label: view.objective, domain: extent(values) }, lines, bands, marks, caption: expected.length > 1 ? "Expected: the default and n − 1 draws with replacement from the other trials, with a 95 % bootstrap band." : "Paid: what this search trained itself, without reused stages." });
}

function valueForCost() {
  const trials = view.trials.filter((trial) => trial.state === "finished" && known(trial.value));
  if (trials.length < 2) return null;
  const cost = (trial) => trial.alone.images_trained;
  const marks = trials.map((trial) => ({ class: kind(trial), x: cost(trial), y: trial.value, shape: shape(trial), size: 5, trial: trial.trial, tip: tipOf(trial, `${shown(trial)}\n${count(cost(trial))} images, ${duration(trial.alone.seconds)} if trained alone`) }));
  return plot({ title: "Value against cost", legend: stateKeys().filter(([name]) => ["chosen", "default", "finished"].includes(name)), x: { label: "images trained, as if alone", domain: extent(trials.map(cost)), text: count, every: 90 }, y: { label: view.objective, domain: extent(trials.map((t) => t.value)) }, marks, caption: "Finished trials. As if alone: every stage trained anew, none reused." });
}

// --- parameters -----------------------------------------------------------------------------------------------------

function parameters() {
  const trials = view.trials.filter((trial) => known(trial.value));
  if (!searched().length || trials.length < 2) return null;
  return [importance(), parallel(trials), slices()];
}

function importance() {
  const increments = view.classes.map((group, t) => t).filter((t) => view.importance.some((row) => known(row.by_increment[t])));
  if (!increments.length) return el("p", { class: "soft" }, "How much each parameter matters is shown from 8 trials at one increment on.");
  const rows = [...view.importance].sort((a, b) => Math.max(...increments.map((t) => b.by_increment[t] || 0)) - Math.max(...increments.map((t) => a.by_increment[t] || 0)));
  const columns = [{ head: "parameter", words: true }, ...increments.map((t) => ({ head: t ? `increment ${t}` : "base task" }))];
  const cell = (value) => (known(value) ? el("span", { "data-share": value }, value.toFixed(2)) : "");
  const sheet = table("Importance at each increment", columns, rows.map((row) => [row.path, ...increments.map((t) => cell(row.by_increment[t]))]), { kind: "heat", note: "PED-ANOVA of Optuna: how far the parameters of the best trials differ from those of all that came to an increment. Shares sum to 1 in a column; with few trials they are rough." });
  for (const td of sheet.querySelectorAll("td")) {
    const share = td.firstChild?.dataset?.share;
    if (share !== undefined) td.style.background = heatOf(share);
  }
  return sheet;
}

function parallel(trials) {
  const paths = searched().filter((path) => trials.some((trial) => known(trial.parameters[path])));
  const ends = trials.filter((trial) => trial.state === "finished");
  const goal = { label: "value", domain: extent((ends.length > 1 ? ends : trials).map((trial) => trial.value), 0.02) };
  const rank = { chosen: 3, default: 2, finished: 1 };
  const sorted = [...trials].sort((a, b) => (rank[kind(a)] || 0) - (rank[kind(b)] || 0));
  const draw = (root, width, height) => {
    const [top, bottom] = [34, height - 26];
    const columns = [...paths.map((path) => ({ path, scale: scaleOf(axisOf(path), bottom, top), x: 0 })), { path: null, scale: scaleOf(goal, bottom, top), x: 0 }];
    columns.forEach((column, i) => { column.x = 60 + (i * (width - 120)) / (columns.length - 1); });
    for (const trial of sorted) {
      const points = columns.map(({ path, scale, x }) => [x, path ? trial.parameters[path] : trial.state === "finished" ? trial.value : null, scale]).filter(([, value]) => known(value));
      root.append(svg("path", { class: `line ${kind(trial)}`, d: points.map(([x, value, scale], i) => `${i ? "L" : "M"}${x},${scale.at(value)}`).join(""), "data-tip": tipOf(trial, shown(trial)), "data-trial": trial.trial }));
    }
    columns.forEach(({ path, scale, x }, i) => {
      root.append(svg("line", { x1: x, x2: x, y1: top, y2: bottom, class: "base" }));
      const label = svg("text", { x, y: i % 2 && columns.length > 4 ? 10 : 24, "text-anchor": "middle", class: "label" }, path ? short(path) : view.objective.length > 24 ? "objective" : view.objective);
      if (path) label.dataset.tip = path;
      root.append(label);
      const range = path ? view.record.ranges[path] : null;
      const labels = range && !range.choice ? [[bottom + 15, axisOf(path).domain[0]], [null, axisOf(path).domain[1]]] : scale.ticks.map((tick) => [null, tick]);
      for (const [y, tick] of labels) root.append(svg("text", { x: x + 5, y: y ?? scale.at(tick) + 4, "text-anchor": "start" }, range && !range.choice ? tidy(tick, 3) : scale.text(tick)));
    });
  };
  const figure = plot({ wide: true, height: 320, title: "Parameters of each trial", legend: lineKeys(), draw, caption: "Each line is a trial, from the values of its parameters to what it reached; one that did not finish has no value at the right." });
  const place = figure.querySelector(".plot");
  place.style.minWidth = `${(paths.length + 1) * 104}px`;
  const scroll = el("div", { style: "overflow-x: auto", tabindex: 0, role: "region", "aria-label": "Parameters of each trial" });
  place.replaceWith(scroll);
  scroll.append(place);
  return figure;
}

function slices() {
  const trials = view.trials.filter((trial) => trial.state === "finished" && known(trial.value));
  if (trials.length < 2) return null;
  const y = { domain: extent(trials.map((trial) => trial.value)) };
  return [el("h3", {}, `Slices: ${view.objective} of finished trials over each parameter`), el("div", { class: "slices" }, searched().map((path) => {
    const marks = trials.filter((trial) => known(trial.parameters[path])).map((trial) => ({ class: kind(trial), x: trial.parameters[path], y: trial.value, shape: shape(trial), trial: trial.trial, tip: tipOf(trial, `${short(path)} ${setting(trial.parameters[path])}\n${shown(trial)}`) }));
    return plot({ height: 190, label: `${view.objective} over ${path}`, x: { ...axisOf(path), label: short(path), every: 52 }, y: { ...y, every: 40 }, marks });
  }))];
}

// --- every trial ----------------------------------------------------------------------------------------------------

const COLUMNS = () => [
  { name: "trial", of: (t) => t.trial },
  { name: "state", of: (t) => t.state, words: true },
  { name: "increments", of: (t) => t.steps.length, title: "increments reported" },
  { name: "value", of: (t) => t.value, text: (t) => score(t.value), title: "objective at the last increment reported" },
  { name: "gain", of: (t) => (t.state === "finished" && known(view.default_value) && known(t.value) ? (view.record.direction === "max" ? 1 : -1) * (t.value - view.default_value) : null), text: (t, v) => (t.trial === 0 ? "default" : signed(v)), title: "better than the default by" },
  { name: "images", of: (t) => t.paid.images_trained, text: (t, v) => count(v), title: "images trained by this trial itself" },
  { name: "time", of: (t) => t.paid.seconds, text: (t, v) => duration(v), title: "training time of this trial itself" },
  ...searched().map((path) => ({ name: path, head: short(path), of: (t) => t.parameters[path], text: (t, v) => setting(v), title: path, words: "choice" in view.record.ranges[path] })),
];

/** Controls stay as they are while rows come in; only the rows are made anew. */
function trials() {
  const body = document.querySelector("#trials .body");
  if (!body.firstChild) {
    const input = el("input", { type: "search", placeholder: "filter: a number, state or value", "aria-label": "Filter trials", oninput: (event) => { wanted.text = event.target.value.toLowerCase(); trials(); } });
    const choose = el("select", { "aria-label": "State", onchange: (event) => { wanted.state = event.target.value; trials(); } }, ["all", ...STATES].map((state) => el("option", { value: state }, state === "all" ? "all states" : state)));
    const button = (words, act) => el("button", { type: "button", onclick: act }, words);
    body.append(
      el("div", { class: "controls" }, input, choose, el("span", { class: "count", role: "status" }), button("CSV", () => save(`${view.record.name}.csv`, csv(exported()), "text/csv")), button("CSV, increments", () => save(`${view.record.name}-increments.csv`, csv(exportedSteps()), "text/csv")), button("LaTeX", () => save(`${view.record.name}.tex`, latex(exportedShort(), `Trials of ${view.record.name}, by ${view.objective}`), "text/x-tex"))),
      el("div", { class: "sheet trials", tabindex: 0, role: "region", "aria-label": "Every trial" }, el("table", {}, el("thead", {}), el("tbody", {}))),
    );
  }
  const columns = COLUMNS();
  const listed = sortedTrials(columns);
  body.querySelector(".count").textContent = listed.length === view.trials.length ? plural(listed.length, "trial") : `${listed.length} of ${plural(view.trials.length, "trial")}`;
  const focused = document.activeElement?.dataset?.key;
  body.querySelector("thead").replaceChildren(el("tr", {}, columns.map((column) => headOf(column))));
  body.querySelector("tbody").replaceChildren(...listed.flatMap((trial) => rowsOf(trial, columns)));
  if (focused) body.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

function headOf(column) {
  const sorted = wanted.sort === column.name ? (wanted.down ? "descending" : "ascending") : null;
  const act = () => { wanted.down = wanted.sort === column.name ? !wanted.down : ["value", "gain"].includes(column.name); wanted.sort = column.name; trials(); };
  return el("th", { scope: "col", "aria-sort": sorted, class: column.words || column.name === "trial" ? "words" : null, title: column.title }, el("button", { type: "button", onclick: act, "data-key": `sort ${column.name}` }, column.head || column.name));
}

function sortedTrials(columns) {
  const column = columns.find((entry) => entry.name === wanted.sort) || columns[0];
  const text = (trial) => columns.map((entry) => { const value = entry.of(trial); return entry.name === "trial" ? number(value) : known(value) ? (entry.text ? entry.text(trial, value) : String(value)) : ""; }).join(" ").toLowerCase();
  const kept = view.trials.filter((trial) => (wanted.state === "all" || trial.state === wanted.state) && (!wanted.text || text(trial).includes(wanted.text)));
  const compare = (a, b) => {
    const [x, y] = [column.of(a), column.of(b)];
    if (!known(x) || !known(y)) return known(y) - known(x) || a.trial - b.trial; // what has no value comes last
    const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
    return (wanted.down ? -order : order) || a.trial - b.trial;
  };
  return kept.sort(compare);
}

function rowsOf(trial, columns) {
  const id = `trial-${trial.trial}`;
  const toggle = () => { if (!open.delete(trial.trial)) open.add(trial.trial); trials(); };
  const cells = columns.map((column, i) => {
    const value = column.of(trial);
    if (!i) return el("th", { scope: "row", class: "words" }, el("button", { type: "button", "aria-expanded": String(open.has(trial.trial)), "aria-controls": id, onclick: toggle, "data-key": id }, number(trial.trial)));
    const content = column.name === "state" ? el("span", { class: `state ${trial.state}`, title: trial.reason }, trial.state) : column.text ? column.text(trial, value ?? null) : known(value) ? String(value) : "–";
    return el("td", { class: column.words ? "words" : null }, content);
  });
  const row = el("tr", { class: trial.trial === view.best ? "is-best" : trial.state === "finished" ? null : "same" }, cells);
  return open.has(trial.trial) ? [row, el("tr", { id }, el("td", { class: "detail", colspan: columns.length }, detail(trial)))] : [row];
}

function detail(trial) {
  const increments = trial.steps.map((_, t) => t);
  const lines = [["chosen", "objective", (step) => step.objective], ["default", "old classes", (step) => step.accuracy_old], ["running", "new classes", (step) => step.accuracy_new]];
  const drawn = lines.map(([name, , of]) => ({ class: name, points: trial.steps.map((step, t) => [t, of(step)]) }));
  const curve = trial.steps.length > 1 ? plot({ height: 220, title: "Curve", legend: lines.map(([name, words]) => [`line ${name}`, words]), x: { label: "increment", domain: [0, Math.max(1, view.record.horizon)], ticks: view.classes.map((_, t) => t), text: String }, y: { domain: extent(drawn.flatMap((line) => line.points.map((p) => p[1]))) }, lines: drawn }) : null;
  const stages = table("Stages", [{ head: "increment", words: true }, { head: "phase", words: true }, { head: "", words: true }, { head: "images" }, { head: "training" }, { head: "waited" }], increments.flatMap((t) => trial.steps[t].stages.map((use) => [t ? String(t) : "base", use.phase, use.origin, count(use.images_trained), duration(use.seconds), use.idle_seconds >= 1 ? duration(use.idle_seconds) : ""])));
  const tree = { ...view.record.fixed, ...trial.parameters };
  const list = (paths) => el("dl", {}, paths.flatMap((path) => [el("dt", {}, foldable(path)), el("dd", {}, setting(tree[path]))]));
  return el("div", { class: "inside" },
    trial.reason || trial.error ? el("div", { class: "all" }, el("h4", {}, Words(trial.state)), el("p", {}, trial.reason || ""), trial.error ? el("pre", { tabindex: 0 }, trial.error) : null) : null,
    trial.warnings.length ? el("div", { class: "all" }, el("h4", {}, "Warnings"), el("ul", {}, trial.warnings.map((text) => el("li", {}, text)))) : null,
    el("div", {}, curve, trial.began ? el("p", { class: "soft" }, `began ${trial.began}${trial.ended ? `, ended ${trial.ended}` : ""}${trial.proposer ? `; proposed by ${trial.proposer}` : ""}`) : null),
    el("div", {}, el("h4", {}, "Configuration: what was searched"), list(searched()), el("details", {}, el("summary", {}, `${Object.keys(view.record.fixed).length} fixed parameters`), list(Object.keys(view.record.fixed)))),
    trial.accuracy_matrix.length ? el("div", {}, heat("Accuracy matrix", trial.accuracy_matrix)) : null,
    el("div", {}, stages));
}

function exported() {
  const columns = COLUMNS();
  return [[...columns.map((column) => column.name)], ...view.trials.map((trial) => columns.map((column) => (column.name === "trial" ? number(trial.trial) : column.of(trial))))];
}

function exportedSteps() {
  const names = ["objective", "accuracy", "accuracy_old", "accuracy_new", "forgetting"];
  const head = ["trial", "state", "increment", ...names, "trained", "reused"];
  const phases = (step, origin) => step.stages.filter((use) => use.origin === origin).map((use) => use.phase).join(" ");
  return [head, ...view.trials.flatMap((trial) => trial.steps.map((step, t) => [number(trial.trial), trial.state, t, ...names.map((name) => step[name]), phases(step, "trained"), phases(step, "reused")]))];
}

/** For a paper: finished trials, best first. */
function exportedShort() {
  const ranked = view.trials.filter((trial) => trial.state === "finished" && known(trial.value)).sort((a, b) => (better(a.value, b.value) ? -1 : better(b.value, a.value) ? 1 : a.trial - b.trial));
  return [["trial", "value", "gain", ...searched().map(short)], ...ranked.map((trial) => [number(trial.trial), score(trial.value), known(view.default_value) && trial.trial ? signed((view.record.direction === "max" ? 1 : -1) * (trial.value - view.default_value)) : "–", ...searched().map((path) => setting(trial.parameters[path]))])];
}

// --- time, origin ---------------------------------------------------------------------------------------------------

function time() {
  if (!view.time.length) return null;
  const most = Math.max(...view.time.map((row) => row.seconds + row.saved)) || 1;
  const bar = (seconds, name) => (seconds ? el("span", { class: `bar ${name}`, style: `width: ${(100 * seconds) / most}%`, "data-tip": `${name === "saved" ? "saved by reuse" : "trained"}: ${duration(seconds)}` }) : "");
  const rows = view.time.map((row) => [row.increment ? `increment ${row.increment}` : "base task", row.phase, String(row.trained), String(row.reused), duration(row.seconds), row.saved ? duration(row.saved) : "–", row.idle >= 1 ? duration(row.idle) : "–", [bar(row.seconds, ""), bar(row.saved, "saved")]]);
  const columns = [{ head: "at", words: true }, { head: "phase", words: true }, { head: "trained" }, { head: "reused" }, { head: "training" }, { head: "saved" }, { head: "waiting" }, { head: "trained, and saved by reuse", words: true }];
  const sheet = table("Stages trained and reused", columns, rows, { note: "Training: wall time of the stages that this search trained. Saved: what the reused ones took when they were trained. Waiting: for a stage that another trial was training." });
  for (const row of sheet.querySelectorAll("tbody tr")) row.lastChild.classList.add("bars");
  const sum = (of) => view.time.reduce((total, row) => total + of(row), 0);
  const [spent, saved] = [sum((row) => row.seconds), sum((row) => row.saved)];
  const line = `${plural(sum((row) => row.trained), "stage")} trained in ${duration(spent)}, ${sum((row) => row.reused)} reused${saved ? `, which saved ${duration(saved)} (${Math.round((100 * saved) / (saved + spent))} % of what every trial alone would have taken)` : ""}.`;
  return [el("p", {}, line), sheet];
}

function origin() {
  const { record } = view;
  const versions = Object.entries(record.versions).map(([name, version]) => `${name} ${version}`).join(", ");
  const facts = { folder: view.folder, created: record.created, machine: `${record.device}, ${plural(record.threads, "thread")} a trial`, versions, "git commit": record.git_commit, "data fingerprint": record.data_fingerprint, "base configurations": record.base_configurations && `at most ${record.base_configurations}`, plugins: record.plugins.join(", ") };
  return [
    el("dl", { class: "facts origin" }, Object.entries(facts).filter(([, value]) => value).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    view.frozen ? el("p", { class: "soft" }, view.frozen) : null,
    view.more ? [el("p", { class: "soft" }, "To search on, ask for more trials:"), el("pre", { tabindex: 0 }, el("code", {}, view.more))] : null,
  ];
}

// --- the whole ------------------------------------------------------------------------------------------------------

function section(name, parts) {
  const place = document.getElementById(name);
  const content = parts === null ? [] : parts.flat(Infinity).filter(Boolean);
  place.hidden = !content.length;
  document.querySelector(`nav a[href="#${name}"]`).hidden = !content.length;
  place.querySelector(".body").replaceChildren(...content);
}

function render() {
  const at = window.scrollY;
  head();
  for (const [name, make] of Object.entries({ result, stream, matrix, replay, course, parameters, time, origin })) section(name, make());
  trials();
  if (window.scrollY !== at) window.scrollTo(0, at);
}

document.addEventListener("click", (event) => {
  const trial = event.target.closest ? event.target.closest("svg [data-trial]")?.dataset.trial : undefined;
  if (trial === undefined) return;
  open.add(Number(trial));
  Object.assign(wanted, { text: "", state: "all" });
  const controls = document.querySelector("#trials .controls");
  controls.querySelector("input").value = "";
  controls.querySelector("select").value = "all";
  trials();
  document.querySelector(`[data-key="trial-${trial}"]`).scrollIntoView({ block: "center" });
});

/** Ask for the record whenever the server says that it has grown; the browser connects again by itself. */
function follow() {
  let have = version;
  const events = new EventSource("events");
  events.onmessage = async (event) => {
    if (Number(event.data) === have) return;
    try {
      const answer = await (await fetch("data.json", { cache: "no-store" })).json();
      [have, view] = [answer.version, answer.view];
      render();
      document.documentElement.dataset.version = String(have);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // a TypeError: the server has gone, and the page stays as it is
    }
  };
}

showTips(document.getElementById("tip"));
render();
if (live) follow();
document.documentElement.dataset.drawn = "yes";
