/** How the report looks: on paper, on a screen, by day and by night. No font, image or script comes from elsewhere. */

import { type Html, html } from './markup.ts'

const style: string = `
:root {
  color-scheme: light dark;
  --paper: #fdfdfb; --ink: #1b1c1e; --quiet: #5c6066; --line: #d9d9d3; --panel: #f5f5f0; --accent: #21456b;
  --pass: #1d6b3c; --pass-ground: #e6f2ea; --fail: #a11d23; --fail-ground: #fbe9e8;
  --open: #7a5200; --open-ground: #fbf1dc; --none: #4d5258; --none-ground: #ececea;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15171a; --ink: #e6e6e2; --quiet: #9aa0a7; --line: #34383d; --panel: #1c1f23; --accent: #9dc1e8;
    --pass: #7fd3a0; --pass-ground: #173425; --fail: #ff9c96; --fail-ground: #451c1d;
    --open: #eec678; --open-ground: #3b2d10; --none: #b4b9bf; --none-ground: #2a2e33;
  }
}
* { box-sizing: border-box; }
html { font-size: 16px; -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink); line-height: 1.55;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif;
  font-variant-numeric: lining-nums tabular-nums; text-rendering: optimizeLegibility;
}
main { max-width: 54rem; margin: 0 auto; padding: 4rem 2rem 5rem; }
h1, h2, h3 { font-family: "Iowan Old Style", "Palatino Linotype", Palatino, "Book Antiqua", "Liberation Serif", Georgia, serif; line-height: 1.2; font-weight: 600; text-wrap: balance; }
h1 { font-size: 2.5rem; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.5rem; margin: 3.6rem 0 1rem; padding-top: 1.2rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.22rem; margin: 0; }
p { margin: 0 0 .8rem; max-width: 42rem; text-wrap: pretty; }
a { color: var(--accent); text-underline-offset: .15em; }
.kicker { font-size: .78rem; letter-spacing: .11em; text-transform: uppercase; color: var(--quiet); margin: 0 0 1.1rem; }
.lead { font-size: 1.12rem; color: var(--quiet); margin-bottom: .3rem; }
.result { font-size: 1.12rem; margin-bottom: 2.2rem; }
.quiet { color: var(--quiet); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
caption { text-align: left; color: var(--quiet); font-size: .84rem; padding-bottom: .5rem; }
th, td { text-align: left; vertical-align: top; padding: .5rem .9rem .5rem 0; border-bottom: 1px solid var(--line); }
thead th { font-weight: 600; font-size: .78rem; color: var(--quiet); white-space: nowrap; vertical-align: bottom; }
tbody th { font-weight: 500; }
td.number, th.number { text-align: right; white-space: nowrap; padding-right: 1.6rem; }
tr > :last-child { padding-right: 0; }
code, pre { font-family: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "Liberation Mono", monospace; font-size: .84em; }
code { overflow-wrap: anywhere; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 4px; padding: .9rem 1.1rem; margin: .3rem 0 1.1rem; white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.5; }
.verdict { display: inline-block; font-size: .78rem; font-weight: 600; line-height: 1; padding: .36em .7em; border-radius: 3px; white-space: nowrap; }
.pass { color: var(--pass); background: var(--pass-ground); }
.fail { color: var(--fail); background: var(--fail-ground); }
.insufficient-data { color: var(--open); background: var(--open-ground); }
.not-applicable { color: var(--none); background: var(--none-ground); }
.figures { display: grid; grid-template-columns: repeat(4, 1fr); gap: 1px; background: var(--line); border: 1px solid var(--line); border-radius: 4px; overflow: hidden; margin: 0 0 2rem; }
.figures div { background: var(--paper); padding: 1rem 1.1rem; }
.figures dt { font-size: .8rem; color: var(--quiet); }
.figures dd { margin: .15rem 0 0; font-size: 1.55rem; line-height: 1.2; font-family: "Iowan Old Style", "Palatino Linotype", Palatino, "Liberation Serif", Georgia, serif; }
.check { margin: 1.8rem 0 2.4rem; padding: 0 0 0 1.3rem; border-left: 3px solid var(--line); }
.check.is-pass { border-color: var(--pass); } .check.is-fail { border-color: var(--fail); } .check.is-insufficient-data { border-color: var(--open); }
.check header { display: flex; gap: 1rem; align-items: baseline; justify-content: space-between; margin-bottom: .5rem; }
.check .number { color: var(--quiet); font-weight: 400; margin-right: .5rem; }
.check dl, .facts { display: grid; grid-template-columns: 9.5rem 1fr; gap: .45rem 1.2rem; margin: .9rem 0 0; font-size: .9rem; }
.check dt, .facts dt { color: var(--quiet); }
.check dd, .facts dd { margin: 0; min-width: 0; }
.check ul, .facts ul { margin: 0; padding: 0; list-style: none; }
.measured strong { font-size: 1.25rem; font-weight: 600; }
ol.steps { padding-left: 1.3rem; max-width: 46rem; } ol.steps li { margin-bottom: .7rem; }
ul.limits { padding-left: 1.1rem; max-width: 42rem; } ul.limits li { margin-bottom: .35rem; }
footer { margin-top: 4rem; padding-top: 1.2rem; border-top: 1px solid var(--line); font-size: .84rem; color: var(--quiet); }
@media (max-width: 44rem) {
  main { padding: 2rem 1.1rem 3rem; } h1 { font-size: 2rem; }
  .figures { grid-template-columns: repeat(2, 1fr); }
  .check dl, .facts { grid-template-columns: 1fr; gap: .1rem; } .check dd, .facts dd { margin-bottom: .6rem; }
}
@page { size: A4; margin: 18mm 16mm; @bottom-right { content: counter(page) " / " counter(pages); font-size: 8pt; color: #444; } }
@media print {
  :root {
    --paper: #fff; --ink: #000; --quiet: #444; --line: #bbb; --panel: #fff; --accent: #000;
    --pass: #0b4f27; --pass-ground: #fff; --fail: #8a1016; --fail-ground: #fff; --open: #5a3c00; --open-ground: #fff; --none: #333; --none-ground: #fff;
  }
  html { font-size: 10.5pt; } main { max-width: none; padding: 0; }
  .verdict { border: 1px solid currentColor; }
  .check, tr, .figures { break-inside: avoid; } h2, h3, caption { break-after: avoid; }
  ul.limits, ol.steps, footer, pre { break-before: avoid; } pre { break-inside: avoid; }
  .scroll { overflow: visible; }
}
`

/** A page up to its body: it needs nothing else, and runs and loads nothing. */
export const pageHead = (title: string, more: string = ''): Html => html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${{ html: style + more }}</style>
</head>
`
