/** The compliance report as one HTML file that needs nothing else: to read, to print, to hand over. */

import type { CheckResult, ComplianceReport, MeasuredVerdict, PartResult } from '../../../core/compliance.ts'
import { amount, edge, grouped, type Html, html, ticked, type Value } from '../markup.ts'
import { pageHead } from '../style.ts'
import { chart } from './chart.ts'
import { attestations, byHand, differences, exceptions, inventory, theLog } from './page-parts.ts'

const verdictNames: Readonly<Record<MeasuredVerdict, string>> = {
  pass: '✓ Pass',
  fail: '✗ Fail',
  'insufficient-data': '? Insufficient data',
  'not-applicable': '– Not applicable',
  'not-observable': '○ Not observable',
}

const more = `
.not-observable { color: var(--none); background: var(--none-ground); }
.accepted { color: var(--open); background: var(--open-ground); }
/* Told apart by their lightness, too: on grey paper, and by who sees no red. */
:root { --bar-allow: #5a9e74; --bar-deny: #7d1419; } @media (prefers-color-scheme: dark) { :root { --bar-allow: #9fe3bb; --bar-deny: #cf4a45; } }
@media print { :root { --bar-allow: #9fc3ad; --bar-deny: #6d0d12; } }
.chart { width: 100%; height: auto; display: block; overflow: visible; } .chart .allow { fill: var(--bar-allow); } .chart .deny { fill: var(--bar-deny); }
.chart .fault { fill: var(--open-ground); stroke: var(--open); } .chart line { stroke: var(--line); } .chart text { fill: var(--quiet); font-size: 11px; }
.legend span { margin-right: 1.2rem; } .legend i { display: inline-block; width: .8em; height: .8em; margin-right: .4em; border-radius: 2px; }
.legend .allow { background: var(--bar-allow); } .legend .deny { background: var(--bar-deny); } .legend .fault { background: var(--open-ground); border: 1px solid var(--open); }
@media (max-width: 44rem) { .chart text { font-size: 17px; } } @media print { .legend i { print-color-adjust: exact; } details { display: none; } }
.keep { white-space: nowrap; }
figure { margin: 0 0 2rem; } figcaption { color: var(--quiet); font-size: .84rem; margin-bottom: .5rem; }
.unconfirmed { color: var(--quiet); } .skip { position: absolute; left: -99rem; } .skip:focus { left: 1rem; }
.scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
`

export function compliancePage(report: ComplianceReport): string {
  return html`${pageHead(`${report.title}, ${rangeText(report)}`, more)}<body>
<a class="skip" href="#parts">Skip to the parts</a>
<main>
<header>
<p class="kicker">Writ · compliance evidence from the audit log</p>
<h1>${report.title}</h1>
<p class="lead">${rangeText(report)} · scope: ${report.scope.name}</p>
<p class="result">${report.summary}.</p>
</header>
${figures(report)}
${differences(report)}
${trend(report)}
${parts(report)}
<section aria-labelledby="checks"><h2 id="checks">The checks</h2>
<p class="quiet">Each is a rule over what was counted in the log. <code>writ report explain ID</code> says which records and members it counts.</p>
${report.checks.map((check) => checkSection(check, report))}
</section>
${exceptions(report)}
${attestations(report)}
${inventory(report)}
${theLog(report)}
<section aria-labelledby="limits"><h2 id="limits">What this report cannot show</h2>
<p>It rests on what proxies recorded. That says nothing about:</p>
<ul class="limits">${report.limits.map((limit) => html`<li>${ticked(limit)}</li>\n`)}</ul>
</section>
${byHand(report)}
<footer><p>The same log, checkpoint and settings give this file again, byte for byte. Leaves are named as shard/index; those that are sampled are drawn by the seed <code>${report.seed}</code>.</p></footer>
</main>
</body>
</html>
`.html
}

function figures({ parts }: ComplianceReport): Html {
  const count = (...verdicts: readonly MeasuredVerdict[]): number =>
    parts.filter(({ verdict }) => verdicts.includes(verdict)).length
  const figure = (name: string, value: number) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`
  return html`<dl class="figures">${[
    figure('Parts that pass', count('pass')),
    figure('Parts that fail', count('fail')),
    figure('Not measured', count('insufficient-data', 'not-applicable')),
    figure('Not observable', count('not-observable')),
  ]}</dl>`
}

function trend({ days, decisions: { allow, deny, fault } }: ComplianceReport): Html {
  const total = `${amount(allow + deny + fault, 'decision')}: ${grouped(allow)} allowed, ${grouped(deny)} denied, ${grouped(fault)} that could not be judged`
  return html`<section aria-labelledby="decisions"><h2 id="decisions">Decisions</h2><p>${total}.</p>${days.length > 1 ? chart(days) : ''}</section>`
}

function parts({ parts, framework, attested }: ComplianceReport): Html {
  const saidOf = (id: string): string =>
    attested.map(({ subject, by }) => (subject === id ? `. Attested by ${by}, see below` : '')).join('')
  const row = (part: PartResult) =>
    html`<tr><th scope="row" class="keep">${part.id}${part.confirmed ? '' : html`<span class="unconfirmed" title="Nobody has compared this id with the framework’s text yet"> *</span>`}</th>
<td>${verdict(part.verdict, part.accepted)}</td><td>${part.about}</td><td>${ticked(part.part || part.notObservable || '')}${saidOf(part.id)}</td>
<td>${part.checks.map((id) => html`<a href="#${id}">${id}</a> `)}</td></tr>\n`
  const unconfirmed = parts.some(({ confirmed }) => !confirmed)
  return html`<section aria-labelledby="parts"><h2 id="parts">The parts of ${framework.title}</h2>
<p class="quiet">A check speaks for the part that is named, never for the whole of a requirement. Identifiers and words are our reading, version ${framework.version}, reviewed on ${framework.reviewed}; your assessor’s count.${
    unconfirmed ? ' * No person has compared this one with the framework’s text yet.' : ''
  }</p>
<div class="scroll" role="region" tabindex="0" aria-label="Parts of the framework"><table>
<thead><tr><th scope="col">Id</th><th scope="col">Verdict</th><th scope="col">About</th><th scope="col">Part that is spoken for</th><th scope="col">Checks</th></tr></thead>
<tbody>${parts.map(row)}</tbody></table></div></section>`
}

function checkSection(check: CheckResult, { exceptions }: ComplianceReport): Html {
  const list = (items: readonly Value[]): Html => html`<ul>${items.map((item) => html`<li>${item}</li>`)}</ul>`
  const rows: Html[] = []
  const row = (name: string, value: Value): void => {
    rows.push(html`<dt>${name}</dt><dd>${value}</dd>\n`)
  }
  row('What is measured', ticked(check.measures))
  const { numerator, denominator, threshold, parameters } = check
  row(
    'Measured',
    html`<span class="measured"><strong>${numerator.value}</strong> ${numerator.of}, of <strong>${denominator.value}</strong> ${denominator.of}</span>`,
  )
  if (threshold !== '') row('Threshold', threshold)
  for (const [name, { value, unit, source, given }] of Object.entries(parameters)) {
    row(
      `Parameter ${name}`,
      `${value} ${unit}. ${given ? 'Declared; the default has this source' : 'Default'}: ${source}.`,
    )
  }
  if (check.exclusions.length > 0) row('Left out, or noted', list(check.exclusions))
  if (check.subjects.length > 0) {
    const shown = check.subjects.slice(0, 20).map(({ name, count, exception }) => {
      const by = exceptions.find(({ id }) => id === exception)
      return html`${count} × ${edge(name)}${by ? ` (accepted by ${by.approver}, exception ${by.id})` : ''}`
    })
    row(
      'Broken by',
      list(check.subjects.length > 20 ? [...shown, `and ${grouped(check.subjects.length - 20)} more`] : shown),
    )
  }
  const leaves = check.sample.map(({ shard, index, breaks }) => `${shard}/${index}${breaks ? ' ✗' : ''}`)
  row('Leaves to look up', leaves.length > 0 ? leaves.join(', ') : 'none')
  if (check.verdict === 'fail') row('What to do', ticked(check.cure))
  if (check.notCovered.length > 0) row('Does not cover', list(check.notCovered.map(ticked)))
  return html`<article class="check is-${check.verdict}" id="${check.id}">
<header><h3><span class="number">${check.id}</span>${check.title}</h3>${verdict(check.verdict, check.accepted)}</header>
<p>${check.finding}</p>
<dl>${rows}</dl>
</article>
`
}

const verdict = (verdict: MeasuredVerdict, accepted: boolean): Html =>
  accepted
    ? html`<span class="verdict accepted">✗ Fail, accepted</span>`
    : html`<span class="verdict ${verdict}">${verdictNames[verdict]}</span>`

const rangeText = ({ from, to }: ComplianceReport): string => `${clock(from)} to ${clock(to)} UTC`

const clock = (at: string): string => at.slice(0, 16).replace('T', ' ')
