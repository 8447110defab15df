/** The read-only page: who calls whom, the latest decisions with their reasons, and the proof behind each row. */

import { html, raw } from 'hono/html'
import type { ConsoleData, ConsoleDecision, ConsoleEdge, ConsoleRecord } from './data.ts'
import { style } from './style.ts'

export type Html = ReturnType<typeof html>

export const mainPage = (data: ConsoleData): Html =>
  frame(
    `${data.trustDomain} · Writ`,
    html`
      <header>
        <h1>${data.trustDomain}</h1>
        <p>
          cluster <b>${data.cluster}</b> · ${clock(data.at)} UTC ·
          <a href="/checks">checks</a> · <a href="/report">report</a>
        </p>
      </header>
      <section class="tiles" aria-label="Totals">
        ${tile('Allowed', number(data.counts.allow))} ${tile('Denied', number(data.counts.deny), 'deny')}
        ${tile('Faults', number(data.counts.fault), data.counts.fault > 0 ? 'fault' : '')}
        ${
          data.checkpoint
            ? tile('Log entries, signed', number(data.checkpoint.size), '', `checkpoint ${clock(data.checkpoint.at)}`)
            : tile('Log entries, signed', '0', '', 'no checkpoint yet')
        }
      </section>
      ${data.checkpoint ? html`<p class="root">${data.checkpoint.origin} <code>${data.checkpoint.root}</code></p>` : ''}
      <section>
        <h2>Who calls whom <small>last five minutes</small></h2>
        ${edgeTable(data.edges)}
      </section>
      <section>
        <h2>Latest decisions</h2>
        ${decisionTable(data.latest)}
      </section>
    `,
    5,
  )

export const recordPage = (record: ConsoleRecord): Html =>
  frame(
    `${record.id} · Writ`,
    html`
      <header>
        <h1>Record ${record.index}</h1>
        <p><a href="/">all decisions</a> · <code>${record.id}</code></p>
      </header>
      <section>
        <h2>What was written</h2>
        <p>These bytes, without the line breaks, are the leaf. Its hash (RFC 6962) is <code>${record.hash}</code>.</p>
        <pre>${record.leaf}</pre>
      </section>
      <section>
        <h2>Proof</h2>
        ${
          record.proof
            ? html`<p>
                A C2SP tlog-proof: the leaf's index, the hashes from the leaf to the root, and the signed checkpoint. Any
                tool that reads the format can check it against the log's public key.
              </p>
              <pre>${record.proof}</pre>`
            : html`<p>No checkpoint covers this record yet. One is signed each second.</p>`
        }
      </section>
    `,
  )

const edgeTable = (edges: readonly ConsoleEdge[]): Html =>
  edges.length === 0
    ? html`<p class="empty">No calls yet.</p>`
    : html`<div class="scroll">
        <table>
          <thead>
            <tr>
              <th>Caller</th>
              <th>Called</th>
              <th class="n">Calls/s</th>
              <th class="n">Allowed</th>
              <th class="n">Denied</th>
              <th class="n">p50</th>
              <th class="n">p95</th>
            </tr>
          </thead>
          <tbody>
            ${edges.map(
              (edge) =>
                html`<tr>
                  <td title="${edge.caller}">${shortName(edge.caller)}</td>
                  <td title="${edge.target}">${shortName(edge.target)}</td>
                  <td class="n">${edge.rate.toFixed(1)}</td>
                  <td class="n">${number(edge.allowed)}</td>
                  <td class="n ${edge.denied + edge.faults > 0 ? 'deny' : ''}">${number(edge.denied + edge.faults)}</td>
                  <td class="n">${ms(edge.p50Ms)}</td>
                  <td class="n">${ms(edge.p95Ms)}</td>
                </tr>`,
            )}
          </tbody>
        </table>
      </div>`

const decisionTable = (decisions: readonly ConsoleDecision[]): Html =>
  decisions.length === 0
    ? html`<p class="empty">None yet.</p>`
    : html`<div class="scroll">
        <table>
          <thead>
            <tr>
              <th>Time</th>
              <th>Caller</th>
              <th>Called</th>
              <th>Request</th>
              <th>Decision</th>
              <th>Why</th>
              <th class="n">Proof</th>
            </tr>
          </thead>
          <tbody>
            ${decisions.map(
              (decision) =>
                html`<tr>
                  <td><time datetime="${decision.at}">${clock(decision.at)}</time></td>
                  <td title="${decision.caller}">${shortName(decision.caller) || 'unknown'}</td>
                  <td title="${decision.target}">${shortName(decision.target)}</td>
                  <td><code>${decision.method} ${decision.path}</code></td>
                  <td><span class="verdict ${decision.verdict}">${decision.verdict}</span></td>
                  <td class="why">${decision.reasons.join('; ') || decision.code}</td>
                  <td class="n">
                    <a href="/record/${decision.id}">${decision.index}</a>${decision.covered ? '' : html` <span title="no checkpoint covers it yet">…</span>`}
                  </td>
                </tr>`,
            )}
          </tbody>
        </table>
      </div>`

const tile = (name: string, value: string, tone = '', note = ''): Html =>
  html`<div class="tile ${tone}">
    <span>${name}</span><strong>${value}</strong>${note ? html`<small>${note}</small>` : ''}
  </div>`

/** The path of a SPIFFE id; the trust domain stands at the top of the page. */
const shortName = (id: string): string => id.replace(/^spiffe:\/\/[^/]+\//, '')

const number = (value: number): string => value.toLocaleString('en')
const ms = (value: number | undefined): string => (value === undefined ? '–' : `${value.toFixed(1)} ms`)
export const clock = (at: string): string => at.slice(11, 19)

export function frame(title: string, body: Html, refreshS?: number): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        ${refreshS ? html`<meta http-equiv="refresh" content="${refreshS}" />` : ''}
        <title>${title}</title>
        <style>
          ${raw(style)}
        </style>
      </head>
      <body>
        <main>${body}</main>
      </body>
    </html>`
}
