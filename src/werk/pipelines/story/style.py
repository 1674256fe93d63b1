"""The page's looks: system fonts, colours that survive colour blindness, a dark room and a printer."""

CSS = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5a6675; --rule: #d5dbe3; --paper: #ffffff; --panel: #f5f7f9;
  --blue: #0b62a8; --orange: #b4530a; --good: #1b7340; --bad: #b3261e; --bar: #8fb4d3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7ebf0; --soft: #a3afbd; --rule: #37414d; --paper: #14181d;
  --panel: #1c2229; --blue: #73b6ee; --orange: #f1a45c; --good: #6fcf97; --bad: #ff8a80; --bar: #3f688c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto, sans-serif; }
main, header, footer { max-width: 60rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 2.5rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.01em; }
h2 { font-size: 1.25rem; margin: 0 0 .4rem; }
section { margin: 2.4rem 0; padding-top: 1.4rem; border-top: 1px solid var(--rule); }
p { margin: .4rem 0 .8rem; max-width: 46rem; }
.lead { font-size: 1.15rem; line-height: 1.6; max-width: 50rem; margin-top: 1rem; }
.soft, .small { color: var(--soft); } .notyet { color: var(--soft); font-style: italic; }
.wide { overflow-x: auto; margin: .8rem 0; } .wide:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
caption { text-align: left; color: var(--soft); padding-bottom: .35rem; font-size: .96em; }
th, td { text-align: left; vertical-align: top; padding: .38rem .9rem .38rem 0; border-bottom: 1px solid var(--rule); }
thead th { color: var(--soft); font-weight: 600; font-size: .91em; } tbody th { font-weight: 600; }
th.n, td.n { text-align: right; padding-right: 1.6rem; font-variant-numeric: tabular-nums; }
.badge { white-space: nowrap; font-weight: 600; } .badge.good { color: var(--good); } .badge.bad { color: var(--bad); }
.mark { width: 1em; height: 1em; vertical-align: -.12em; margin-right: .35em; }
.mark.ok { fill: var(--good); } .mark.violation { fill: var(--bad); }
.mark.cannot-say, .mark.not-checked { stroke: var(--soft); fill: none; }
tbody th, td.n, .whole { white-space: nowrap; } .phrase { display: inline-block; min-width: 9.5rem; }
.matrix table { table-layout: fixed; min-width: 54rem; } .matrix th { overflow-wrap: anywhere; white-space: normal; }
.matrix th, .matrix td { padding-right: .6rem; } .matrix td { white-space: nowrap; } .matrix .loose { white-space: normal; }
.matrix thead th:first-child { width: 11.5em; } .matrix.rules thead th:first-child { width: 21.5em; }
thead .by { display: block; font-weight: 400; }
.facts { list-style: none; margin: .8rem 0; padding: 0; display: grid; gap: .6rem;
  grid-template-columns: repeat(auto-fit, minmax(9.6rem, 1fr)); }
.facts li { background: var(--panel); border: 1px solid var(--rule); border-radius: 8px; padding: .5rem .75rem; }
.facts b { display: block; white-space: nowrap; font-size: 1.3rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.facts span { display: block; color: var(--soft); font-size: .85rem; line-height: 1.4; }
code, .mono { font-family: ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; font-size: .88em; overflow-wrap: anywhere; }
.proof { background: var(--panel); border: 1px solid var(--rule); border-radius: 10px; padding: 1.1rem 1.3rem; }
.proof dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.2rem; margin: .6rem 0; }
.proof dt { color: var(--soft); } .proof dd { margin: 0; }
.check .what { margin: .9rem 0 .2rem; }
pre { margin: 0; padding: .6rem .8rem; background: var(--paper); border: 1px solid var(--rule); border-radius: 6px;
  font: .75em/1.55 ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.row { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .5rem 1.2rem; margin: .4rem 0; }
.row dt { color: var(--soft); font-size: .84rem; } .row dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--blue); } .said li { margin: .35rem 0; }
.drawing { width: 100%; min-width: 640px; height: auto; display: block; fill: var(--ink); font-size: 13px; }
.drawing .small { fill: var(--soft); font-size: 11px; } .drawing .head { fill: var(--soft); font-weight: 600; }
.drawing .name, .drawing .value { font-weight: 600; } .drawing .mono { fill: var(--soft); font-size: 11px; }
.drawing .box { fill: var(--panel); stroke: var(--blue); stroke-width: 1.5; }
.drawing .box.not-yet { stroke: var(--rule); stroke-dasharray: 4 4; } .drawing .box.refused { stroke: var(--bad); }
.drawing .arrow, .drawing .back { fill: none; stroke: var(--soft); stroke-width: 1.5; } .drawing .back { stroke-dasharray: 5 4; }
.drawing .tip { fill: var(--soft); } .drawing .axis, .drawing .rail { stroke: var(--rule); stroke-width: 1.5; }
.drawing .bar, .drawing .share { fill: var(--bar); } .drawing .station { fill: var(--blue); }
.drawing .line { fill: none; stroke-width: 2.5; } .drawing .line.champion { stroke: var(--blue); }
.drawing .dot.again { fill: var(--paper); stroke: var(--orange); stroke-width: 2.5; } .drawing .again.key,
.drawing .value.again { fill: var(--orange); }
.drawing .champion:not(.line) { fill: var(--blue); }
.drawing .key { font-weight: 600; } .drawing .retrain { stroke: var(--orange); stroke-width: 1.5; stroke-dasharray: 4 4; }
.drawing .retrained { fill: var(--orange); font-weight: 600; }
footer { color: var(--soft); font-size: .88rem; padding-bottom: 3rem; } footer span { margin-right: 1.1rem; }
@media (max-width: 40rem) { main, header, footer { padding: 0 1rem; } .lead { font-size: 1.05rem; }
  .said { padding-left: 1.2rem; } .wide > table { min-width: 38rem; } .matrix .wide > table { min-width: 54rem; }
  .proof dl { grid-template-columns: 1fr; } .proof dd { margin-bottom: .5rem; } }
@page { margin: 16mm 14mm; }
@media print {
  :root { color-scheme: light; --ink: #000; --soft: #444; --rule: #bbb; --paper: #fff; --panel: #fff; --blue: #0b62a8;
    --orange: #a34a06; --good: #1b7340; --bad: #b3261e; --bar: #b9cfe2; }
  body { font-size: 10pt; } .lead { font-size: 11.5pt; line-height: 1.45; } table { font-size: 8.8pt; }
  th, td { padding: .25rem .6rem .25rem 0; } main, header, footer { max-width: none; padding: 0; } header { padding-top: 0; }
  footer { break-before: avoid; } footer p { margin: .2rem 0 0; }
  section { margin: 1rem 0; padding-top: .7rem; } h2 { break-after: avoid; } p { max-width: none; break-inside: avoid; }
  .facts { grid: auto / auto-flow 1fr; } .facts b { font-size: 12pt; } .facts span { font-size: 8pt; }
  tr, svg, .wide, .facts, .row, .proof dl, .said li { break-inside: avoid; }
  .said { font-size: 9pt; } .said li { margin: .1rem 0; }
  .check .what { break-after: avoid; } pre { orphans: 5; widows: 5; box-decoration-break: clone; }
  .row { grid-template-columns: repeat(5, 1fr); gap: .2rem .8rem; }
  p:has(+ .wide, + .row, + dl) { break-after: avoid; } .wide + p.small { break-before: avoid; }
  .wide { overflow: visible; } .drawing, .matrix .wide > table { min-width: 0; }
  details::details-content { content-visibility: visible; block-size: auto; } summary { list-style: none; color: var(--ink); }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
