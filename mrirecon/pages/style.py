"""The looks of pages: dark, so that it looks the same on every page it is shown on."""

STYLE = """
:root { color-scheme: dark; }
* { box-sizing: border-box; }
body { margin: 0; background: #101214; color: #dcdcdc;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Ubuntu, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 24px 40px; }
h1 { margin: 0; font-size: 24px; font-weight: 600; color: #f2f2f2; overflow-wrap: anywhere; }
header p { margin: 2px 0 0; color: #9aa0a6; }
h2 { margin: 0 0 10px; font-size: 12px; font-weight: 600; letter-spacing: .08em;
  text-transform: uppercase; color: #9aa0a6; }
h2 small { font-size: 12px; font-weight: 400; letter-spacing: 0; text-transform: none; }
section { margin-top: 30px; }
.notes { padding: 12px 18px; border-left: 3px solid #ffb000; background: #191b1d; }
.notes h2 { color: #ffb000; margin-bottom: 4px; }
.notes ol { margin: 0; padding-left: 20px; }
.warnings { padding: 12px 18px; border-left: 3px solid #ff5a4f; background: #2a1614; }
.warnings h2 { color: #ff5a4f; margin-bottom: 4px; }
.warnings ul { margin: 0; padding-left: 20px; }
.numbers { display: flex; flex-wrap: wrap; gap: 12px 36px; }
.numbers b { display: block; font-size: 22px; font-weight: 600; color: #f2f2f2;
  font-variant-numeric: tabular-nums; }
.numbers span { font-size: 13px; color: #9aa0a6; }
.row { display: flex; flex-wrap: wrap; gap: 20px 28px; align-items: flex-start; }
figure { margin: 0; max-width: 100%; flex: none; }
figure img { display: block; max-width: 100%; }
figcaption { padding-top: 6px; font-size: 13px; color: #9aa0a6; }
p + .row { margin-top: 14px; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(380px, 1fr));
  gap: 0 40px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: 4px 0; border-bottom: 1px solid #222528; }
th { width: 34%; font-weight: 400; color: #9aa0a6; }
.residuals th, .residuals td { width: auto; padding-right: 24px; white-space: nowrap; }
.grid th, .grid td { width: auto; padding-right: 18px; }
.grid span { white-space: nowrap; }
.wide { overflow-x: auto; margin-top: 12px; }
.wide th, .wide td { white-space: nowrap; overflow-wrap: normal; }
.wide th:first-child, .wide td:first-child { white-space: normal; min-width: 9em;
  overflow-wrap: anywhere; }
.facts td, .facts th { white-space: normal; min-width: 11em; overflow-wrap: anywhere; }
b { color: #f2f2f2; } sup { color: #ffb000; padding-left: 2px; }
.problem { color: #ff5a4f; } .suspicion { color: #ffb000; } .note { color: #9aa0a6; }
td { overflow-wrap: anywhere; white-space: pre-line; }
pre { margin: 0; padding: 12px 14px; overflow-x: auto; background: #191b1d; font-size: 13px;
  white-space: pre-wrap; overflow-wrap: anywhere; }
details { margin-top: 10px; }
summary { cursor: pointer; color: #9aa0a6; }
p { margin: 12px 0 0; max-width: 75ch; }
.missing { margin: 12px 0 0; padding: 0; list-style: none; font-size: 13px; color: #9aa0a6; }
footer { margin-top: 34px; font-size: 13px; color: #9aa0a6; }
"""
