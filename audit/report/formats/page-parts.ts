/** Sections of the page that are the same whatever is measured: exceptions, inventory, the log, and how to check it. */

import type { ComplianceReport, ExceptionState } from '../../../core/compliance.ts'
import { amount, edge, grouped, type Html, html } from '../markup.ts'

export function differences({ since }: ComplianceReport): Html {
  if (!since) return html``
  const range = `${since.from.slice(0, 10)} to ${since.to.slice(0, 10)}`
  if (since.changes.length === 0) {
    return html`<section aria-labelledby="since"><h2 id="since">Since the last report</h2><p>Every check says what it said in the report from ${range}.</p></section>`
  }
  const row = ({ check, was, is }: (typeof since.changes)[number]) =>
    html`<tr><th scope="row"><a href="#${check}">${check}</a></th><td>${was || 'not in it'}</td><td>${is || 'not in this one'}</td></tr>\n`
  return html`<section aria-labelledby="since"><h2 id="since">Since the last report</h2><div class="scroll"><table><caption>Against the report from ${range}</caption>
<thead><tr><th scope="col">Check</th><th scope="col">It said</th><th scope="col">It says</th></tr></thead><tbody>${since.changes.map(row)}</tbody></table></div></section>`
}

const states: Readonly<Record<ExceptionState['state'], string>> = {
  'in-force': 'in force',
  'ran-out': '✗ ran out: it accepts nothing',
  unmatched: '? matches nothing that broke its check',
}

export function exceptions({ exceptions }: ComplianceReport): Html {
  const title = html`<h2 id="exceptions">Exceptions</h2>`
  if (exceptions.length === 0) {
    return html`<section aria-labelledby="exceptions">${title}<p>None were declared.</p></section>`
  }
  const row = (one: ExceptionState) =>
    html`<tr><th scope="row" class="keep">${one.id}</th><td><a href="#${one.check}">${one.check}</a> ${edge(one.subject)}</td><td>${states[one.state]}, ${grouped(one.matched)} matched</td><td>${one.approver}</td><td>${one.risk}: ${one.reason}</td><td class="keep">${one.expires.slice(0, 10)}</td></tr>\n`
  return html`<section aria-labelledby="exceptions">${title}<p class="quiet">An exception changes no verdict: a check that fails goes on failing, and says who accepted it.</p><div class="scroll" role="region" tabindex="0" aria-label="Table of exceptions"><table>
<thead><tr><th scope="col">Id</th><th scope="col">About</th><th scope="col">State</th><th scope="col">Approver</th><th scope="col">Risk and reason</th><th scope="col">Until</th></tr></thead><tbody>${exceptions.map(row)}</tbody></table></div></section>`
}

/** What no record shows: said by somebody, in the log. It is beside the verdicts, never in them. */
export function attestations({ attested, declarations }: ComplianceReport): Html {
  const title = html`<h2 id="attested">What people answer for</h2>`
  const row = ({ subject, about, statement, by, at, documents, id }: ComplianceReport['attested'][number]) =>
    html`<tr><th scope="row">${subject}</th><td>${about === 'access_review' ? 'review of access' : 'evidence'}</td><td>${statement}</td><td>${by}, ${at.slice(0, 10)}</td><td>${documents.map(({ name, sha256 }) => html`${name} <code>${sha256}</code> `)}</td><td><code>${id}</code></td></tr>\n`
  const table = html`<div class="scroll" role="region" tabindex="0" aria-label="Table of attestations"><table>
<thead><tr><th scope="col">About</th><th scope="col">What</th><th scope="col">Statement</th><th scope="col">By</th><th scope="col">Documents, by SHA-256</th><th scope="col">Entry</th></tr></thead><tbody>${attested.map(row)}</tbody></table></div>`
  const declared = html`<h3>Declared in the log</h3><ul>${declarations.map(({ by, at, members, id }) => html`<li>${members.join(', ')} by ${by}, ${at.slice(0, 10)}, entry <code>${id}</code></li>`)}</ul>`
  return html`<section aria-labelledby="attested">${title}${attested.length > 0 ? html`<p class="quiet">Named persons said this in the log, in the time of this report. It changes no verdict.</p>${table}` : html`<p>Nobody attested anything in the time of this report.</p>`}${declarations.length > 0 ? declared : ''}</section>`
}

export function inventory({ inventory, scope }: ComplianceReport): Html {
  const { source, declared, observed, unseen, undeclared } = inventory
  const of = Object.entries(scope)
    .filter(([, list]) => Array.isArray(list) && list.length > 0)
    .map(([name, list]) => `${name} ${(list as readonly string[]).join(', ')}`)
  const names = (title: string, list: readonly string[]) =>
    list.length === 0
      ? html``
      : html`<h3>${title}</h3><ul>${list.map((name) => html`<li><code>${name}</code></li>`)}</ul>`
  const told =
    source === ''
      ? `Nobody declared an inventory. ${amount(observed, 'workload')} recorded something; of others no number here speaks.`
      : `${amount(declared, 'name')} declared (${source}); ${amount(observed, 'workload')} recorded something.`
  return html`<section aria-labelledby="inventory"><h2 id="inventory">Scope and inventory</h2><p>${of.length > 0 ? `In scope: ${of.join('; ')}.` : 'Every workload is in scope.'}</p><p>${told}</p>${names('Declared, and not seen', unseen)}${names('Seen, and not declared', undeclared)}</section>`
}

export function theLog({ verified, checkpoints, rules }: ComplianceReport): Html {
  const size = checkpoints.reduce((sum, one) => sum + one.size, 0)
  const state = verified.ok
    ? html`<p>The log verifies: ${amount(size, 'leaf', 'leaves')} in ${amount(checkpoints.length, 'shard')} hash to the signed roots, and no chain or signature is broken.</p>`
    : html`<p><span class="verdict fail">✗ The log does not verify</span> ${amount(verified.broken, 'thing')} broken. Until that is explained, no number here proves anything.</p>`
  const found = html`<ul>${verified.findings.map((line) => html`<li>${line}</li>\n`)}</ul>`
  return html`<section aria-labelledby="log"><h2 id="log">The log behind it</h2>${state}${verified.findings.length > 0 ? found : ''}
<h3>Rules that judged</h3><ul>${rules.map(({ bundle, revision, sha256 }) => html`<li>${bundle}, revision ${revision}, SHA-256 <code>${sha256}</code></li>`)}</ul></section>`
}

export function byHand({ verifierKey, checkpoints }: ComplianceReport): Html {
  return html`<section aria-labelledby="by-hand"><h2 id="by-hand">How to verify this by hand</h2>
<ol class="steps">
<li>Get the verifier key of the log from somebody other than whoever gave you this report, and compare it with the one below.</li>
<li>Run <code>sh report/check.sh REPORT-KEY LOG-KEY</code> in the folder of evidence: Go and OpenSSL check the signature over this report and its files, and each sampled record, checkpoint and time stamp, without Writ.</li>
<li>Or get the log: it is in the C2SP tlog-tiles format, its checkpoints are C2SP signed notes (Ed25519), its hashes those of RFC 6962. <code>writ audit verify --log FOLDER --key KEY</code> checks all of it.</li>
<li>To draw the sample again: number the records that a tally counts from 0, in the order of the log. The n-th draw is SHA-256 of <code>SEED/CHECK/TALLY/n</code>, its first 6 bytes modulo how many there are; what was drawn is not drawn again.</li>
</ol>
<h3>Verifier key</h3><pre>${verifierKey}</pre>
<h3>Signed checkpoints</h3>${checkpoints.map(({ origin, note }) => html`<p>${origin}</p><pre>${note}</pre>`)}
</section>`
}
