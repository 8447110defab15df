/** The report as one HTML file that needs nothing else: to read, to print, to hand over. */

import type { CheckpointWord } from '../verify/witnessed.ts'
import { amount, type Check, type CheckVerdict, grouped } from './check.ts'
import { type Html, html } from './markup.ts'
import type { Report } from './report.ts'
import type { Sampled } from './sample.ts'
import { pageHead } from './style.ts'

export { escapeHtml } from './markup.ts'

const verdictNames: Readonly<Record<CheckVerdict, string>> = {
  pass: '✓ Pass',
  fail: '✗ Fail',
  'insufficient-data': '? Insufficient data',
  'not-applicable': '– Not applicable',
}

export function formatHtml(report: Report): string {
  return html`${pageHead(`${report.title}, ${rangeText(report)}`)}<body>
<main>
<header>
<p class="kicker">Writ · evidence from the audit log</p>
<h1>${report.title}</h1>
<p class="lead">${rangeText(report)}</p>
<p class="result">${report.summary}.</p>
</header>
${figures(report)}
${summary(report)}
${verification(report)}
<section aria-labelledby="checks"><h2 id="checks">The checks</h2>
<p class="quiet">Each check bears on a part of what the named requirements ask for, never on the whole of one. The identifiers are our reading; your assessor’s counts.</p>
${report.checks.map(checkSection)}
</section>
${producers(report)}
<section aria-labelledby="limits"><h2 id="limits">What this report cannot show</h2>
<p>It rests on what proxies recorded. That says nothing about:</p>
<ul class="limits">${report.limits.map((limit) => html`<li>${limit}</li>\n`)}</ul>
</section>
${byHand(report)}
<footer><p>The same log and the same settings give this file again, byte for byte. Leaves are named as shard/index.</p></footer>
</main>
</body>
</html>
`.html
}

function figures({ decisions: { allow, deny, fault } }: Report): Html {
  const figure = (name: string, count: number) => html`<div><dt>${name}</dt><dd>${count}</dd></div>`
  return html`<dl class="figures">${[
    figure('Decisions', allow + deny + fault),
    figure('Allowed', allow),
    figure('Denied', deny),
    figure('Could not be judged', fault),
  ]}</dl>`
}

function summary({ checks }: Report): Html {
  const row = (
    check: Check,
  ) => html`<tr><th scope="row"><a href="#${check.id}">${check.id}</a></th><td>${verdict(check)}</td><td>${check.title}</td>
<td class="number">${check.numerator.value} of ${check.denominator.value}</td><td>${check.threshold}</td></tr>\n`
  return html`<section aria-labelledby="summary"><h2 id="summary">Summary</h2><div class="scroll"><table>
<thead><tr><th scope="col">Check</th><th scope="col">Verdict</th><th scope="col">What it asks</th><th scope="col" class="number">Measured</th><th scope="col">Threshold</th></tr></thead>
<tbody>${checks.map(row)}</tbody></table></div></section>`
}

/** The quorum that was asked for, and each checkpoint that was held against it. */
function witnessed({ witnesses, shards }: Report): Html {
  if (!witnesses) {
    return html`<p class="quiet">No witness was asked for: a second log shown to somebody else would not be noticed.</p>`
  }
  const row = (origin: string, { size, met, by }: CheckpointWord) =>
    html`<tr><td>${origin}</td><td class="number">${size}</td><td>${met ? 'yes' : 'no'}</td><td>${by.join(', ') || 'nobody'}</td></tr>\n`
  const found = shards.flatMap(({ origin, witnessed }) => (witnessed ? [{ origin, ...witnessed }] : []))
  const sum = (of: 'looked' | 'count') => found.reduce((total, one) => total + one[of], 0)
  const rows = found.flatMap(({ origin, checkpoints }) => checkpoints.map((word) => row(origin, word)))
  return html`<h3>Witnesses</h3><p>Quorum asked for: <code>${witnesses.quorum}</code>. ${grouped(sum('count'))} of ${amount(sum('looked'), 'checkpoint')} met it.</p>
<div class="scroll"><table><caption>${grouped(rows.length)} listed, the largest of each log</caption><thead><tr><th scope="col">Log</th><th scope="col" class="number">Leaves</th><th scope="col">Quorum met</th><th scope="col">Cosigned by</th></tr></thead><tbody>${rows}</tbody></table></div>`
}

function verification(report: Report): Html {
  const { trust, shards } = report
  const { ok, broken, findings, omitted } = report.verification
  const size = shards.reduce((sum, shard) => sum + shard.size, 0)
  const state = ok
    ? html`<p>The log verifies: ${amount(size, 'leaf', 'leaves')} in ${amount(shards.length, 'shard')} hash to the signed roots, and no chain or signature is broken.</p>`
    : html`<p><span class="verdict fail">✗ The log does not verify</span> ${amount(broken, 'thing')} broken. Until that is explained, no number below proves anything.</p>`
  const word =
    trust.from === 'pinned'
      ? 'The roots of trust were given by whoever made this report.'
      : 'The roots of trust are those that the log itself announces, the first of them taken at its word; compare their digests with your own.'
  const shown = findings.filter(({ level }) => level !== 'note')
  const row = ({ level, code, shard, index, what }: Report['verification']['findings'][number]) =>
    html`<tr><td>${level}</td><td>${leafText({ shard, index })}</td><td><code>${code}</code></td><td>${what}</td></tr>\n`
  const table = html`<div class="scroll"><table><caption>${grouped(shown.length)} listed${
    omitted > 0 ? `, ${grouped(omitted)} more` : ''
  }</caption><thead><tr><th scope="col">Level</th><th scope="col">Leaf</th><th scope="col">Finding</th><th scope="col">What was found</th></tr></thead><tbody>${shown.map(row)}</tbody></table></div>`
  return html`<section aria-labelledby="log"><h2 id="log">The log behind it</h2>${state}<p class="quiet">${word}</p>${
    shown.length > 0 ? table : []
  }${witnessed(report)}</section>`
}

function checkSection(check: Check): Html {
  const list = (items: readonly string[]) => html`<ul>${items.map((item) => html`<li>${item}</li>`)}</ul>`
  const { numerator, denominator } = check
  return html`<article class="check is-${check.verdict}" id="${check.id}">
<header><h3><span class="number">${check.id}</span>${check.title}</h3>${verdict(check)}</header>
<p>${check.finding}</p>
<dl>
<dt>What is measured</dt><dd>${check.measures}</dd>
<dt>Measured</dt><dd class="measured"><strong>${numerator.value}</strong> ${numerator.of}, of <strong>${denominator.value}</strong> ${denominator.of}</dd>
<dt>Threshold</dt><dd>${check.threshold}</dd>
<dt>Left out, or noted</dt><dd>${list(check.exclusions)}</dd>
<dt>Leaves to look up</dt><dd>${check.sample.length > 0 ? check.sample.map(leafText).join(', ') : 'none'}</dd>
<dt>Does not cover</dt><dd>${list(check.notCovered)}</dd>
<dt>Bears on parts of</dt><dd class="ids">${check.mappings.map(
    ({ framework, ids }) => html`<span><b>${framework}</b> ${ids.join(', ')}</span> `,
  )}</dd>
</dl>
</article>
`
}

function producers(report: Report): Html {
  const row = (producer: Report['producers'][number]) =>
    html`<tr><th scope="row"><code>${producer.id}</code></th><td class="number">${producer.runs}</td><td class="number">${producer.records}</td><td class="number">${producer.missing}</td><td class="number">${producer.unattested}</td><td>${clock(producer.lastAt)}</td></tr>\n`
  const more = report.moreProducers > 0 ? `, and ${grouped(report.moreProducers)} more` : ''
  return html`<section aria-labelledby="producers"><h2 id="producers">Who recorded</h2><div class="scroll"><table>
<caption>All that are in the log up to its checkpoint${more}. A workload that is not here has no evidence.</caption>
<thead><tr><th scope="col">Producer</th><th scope="col" class="number">Runs</th><th scope="col" class="number">Records</th><th scope="col" class="number">Missing</th><th scope="col" class="number">Unsigned</th><th scope="col">Last record (UTC)</th></tr></thead>
<tbody>${report.producers.map(row)}</tbody></table></div></section>`
}

function byHand(report: Report): Html {
  const roots = report.trust.roots.map(
    ({ trustDomain, sha256 }) => html`<dt>${trustDomain}</dt><dd><code>${sha256.join(' ')}</code></dd>`,
  )
  const shard = ({ origin, note }: Report['shards'][number]) => html`<p>${origin}</p><pre>${note}</pre>`
  return html`<section aria-labelledby="by-hand"><h2 id="by-hand">How to verify this by hand</h2>
<ol class="steps">
<li>Get the log folder, and the verifier key from somebody other than whoever gave you this report. Compare it with the one below.</li>
<li>Run <code>writ audit verify --log FOLDER --key KEY</code>. It needs no network and no database. Its checkpoint must extend the one below.</li>
<li>Or use other tools: the log is in the C2SP tlog-tiles format, its checkpoints are C2SP signed notes (Ed25519), its hashes those of RFC 6962. Any reader of that format can check it.</li>
<li>To look up one leaf: entry <code>index mod 256</code> of <code>tile/entries/⌊index / 256⌋</code>. Its hash, SHA-256 over a zero byte and the entry, stands at the same place of the tile in <code>tile/0</code>.</li>
</ol>
<h3>Verifier key</h3><pre>${report.verifierKey}</pre>
<h3>Signed checkpoints</h3>${report.shards.map(shard)}
<h3>Roots of trust</h3><p class="quiet">SHA-256 of each root certificate, by trust domain.</p><dl class="facts">${roots}</dl>
</section>`
}

const verdict = (check: Check): Html =>
  html`<span class="verdict ${check.verdict}">${verdictNames[check.verdict]}</span>`

const leafText = ({ shard, index }: Omit<Sampled, 'index'> & { readonly index?: number | undefined }): string =>
  index === undefined ? `${shard}` : `${shard}/${index}`

const clock = (at: string): string => at.slice(0, 19).replace('T', ' ')

function rangeText({ from, to, firstAt, lastAt }: Report): string {
  if (firstAt === '') return 'No records in the time asked for'
  return `${clock(from || firstAt)} to ${clock(to || lastAt)} UTC`
}
