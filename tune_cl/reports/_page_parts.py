"""Style and script of the comparison's page."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #f6f7f9; --card: #ffffff; --ink: #1b2330; --soft: #5b6675; --line: #dfe3e8; --grid: #e6e9ee;
  --accent: #2f6fc4; --good: #1c7a4a; --good-paper: #e3f4ea; --even: #5b6675; --even-paper: #eceff3;
  --open: #8a5a00; --open-paper: #fdf1d8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12161c; --card: #1a2029; --ink: #e6eaf0; --soft: #9aa6b5; --line: #2c3542; --grid: #2a323e;
    --accent: #7fb2f5; --good: #7fd8a6; --good-paper: #173527; --even: #aab4c2; --even-paper: #252d38;
    --open: #f0c777; --open-paper: #3a2f17;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
header, main, footer { max-width: 1180px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 36px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 19px; margin: 40px 0 12px; }
h3 { font-size: 15px; margin: 0 0 2px; }
p { margin: 6px 0; max-width: 90ch; }
.soft, figcaption, .note { color: var(--soft); font-size: 13.5px; }
.facts { display: flex; flex-wrap: wrap; gap: 6px 22px; margin: 10px 0 0; padding: 0; }
.facts div { display: flex; gap: 6px; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); gap: 14px; margin: 22px 0 0;
  padding: 0; list-style: none; }
.card, figure, .sheet { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.card { padding: 14px 16px; border-top: 4px solid var(--chip, var(--accent)); overflow-wrap: anywhere; }
.card .value { font-size: 30px; font-weight: 650; line-height: 1.25; font-variant-numeric: tabular-nums; }
.card p { margin: 2px 0; }
.verdicts { list-style: none; padding: 0; margin: 0 0 8px; display: grid; gap: 8px; }
.verdicts li { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 10px 14px;
  display: grid; grid-template-columns: 9.5em 1fr; gap: 12px; align-items: baseline; overflow-wrap: anywhere; }
.badge { border-radius: 999px; padding: 2px 10px; font-size: 12.5px; font-weight: 650; text-align: center; }
.real { color: var(--good); background: var(--good-paper); }
.within-noise { color: var(--even); background: var(--even-paper); }
.unknown { color: var(--open); background: var(--open-paper); }
.plots { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 16px; margin: 0 0 16px; }
figure { margin: 0; padding: 14px 16px 12px; min-width: 0; }
figure.wide { grid-column: 1 / -1; }
.sheet { padding: 4px 16px 12px; margin: 0 0 16px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 650; padding: 10px 0 6px; }
th, td { padding: 6px 12px 6px 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
thead th { color: var(--soft); font-weight: 600; font-size: 13px; border-bottom-width: 2px; }
th.words, td.words { text-align: left; }
tbody th { font-weight: 600; text-align: left; }
tr.dim { color: var(--soft); } tr.dim th { font-weight: 400; }
tbody tr:last-child th, tbody tr:last-child td { border-bottom: 0; }
.interval { display: block; color: var(--soft); font-size: 12.5px; }
.bear { background: var(--open-paper); border-radius: 10px; padding: 10px 16px; margin: 22px 0 0; }
.bear h2 { font-size: 15px; margin: 0; color: var(--open); } .bear ul { margin: 4px 0; padding-left: 20px; }
.bear li { overflow-wrap: anywhere; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px;
  overflow-x: auto; }
details { margin: 0 0 12px; } summary { cursor: pointer; font-weight: 600; padding: 6px 0; overflow-wrap: anywhere; }
footer { padding-top: 24px; padding-bottom: 48px; }
.modebar { display: none !important; }
@media (max-width: 820px) { .plots { grid-template-columns: minmax(0, 1fr); }
  .verdicts li { grid-template-columns: 1fr; } .badge { justify-self: start; } }
@media print { body { background: #fff; } .card, figure, .sheet { break-inside: avoid; } }
"""

SCRIPT = """
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const inks = () => {
    const style = getComputedStyle(document.documentElement);
    const ink = (name) => style.getPropertyValue(name).trim();
    const axis = { gridcolor: ink("--grid"), linecolor: ink("--line"), tickcolor: ink("--line") };
    return {
      font: { color: ink("--ink"), family: getComputedStyle(document.body).fontFamily, size: 13 },
      hoverlabel: { bgcolor: ink("--card"), bordercolor: ink("--line"), font: { color: ink("--ink") } },
      xaxis: axis, yaxis: axis,
    };
  };
  const themed = (layout) => {
    const theme = inks();
    const axes = { xaxis: { ...layout.xaxis, ...theme.xaxis }, yaxis: { ...layout.yaxis, ...theme.yaxis } };
    return { ...layout, ...theme, ...axes };
  };
  const config = { responsive: true, displayModeBar: false, showTips: false };
  const draw = () => Promise.all(Object.entries(figures).map(([name, figure]) =>
    Plotly.react("plot-" + name, figure.data, themed(figure.layout), config)));
  dark.addEventListener("change", draw);
  draw().then(() => { document.documentElement.dataset.drawn = "yes"; });
})();
"""
