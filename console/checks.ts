/** How each compliance check stands, since when, how it came to, and which records broke it. */

import { html } from 'hono/html'
import type { ConsoleChecks } from './data.ts'
import { frame, type Html } from './page.ts'

export const checksPage = ({ lookedAt, everyMs, checks }: ConsoleChecks): Html =>
  frame(
    'Checks · Writ',
    html`
      <header>
        <h1>Checks</h1>
        <p>
          <a href="/">all decisions</a> · <a href="/report">report</a> ·
          ${
            everyMs === undefined
              ? 'the mesh file has no spec.audit.compliance.status: nothing is looked at between reports'
              : lookedAt === undefined
                ? 'not looked at yet since the start'
                : `last looked at ${minute(lookedAt)} UTC`
          }
        </p>
      </header>
      <section>
        <h2>How they stand <small>a check that is not here never had enough to tell</small></h2>
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th>Check</th>
                <th>Says</th>
                <th>Since</th>
                <th>Why</th>
                <th>Records that broke it</th>
              </tr>
            </thead>
            <tbody>
              ${checks.map(({ check, title, turns: [now] }) =>
                now
                  ? html`<tr>
                      <td title="${title}">${check} ${title}</td>
                      <td>${verdict(now.is, now.accepted)}</td>
                      <td><time datetime="${now.at}">${minute(now.at)}</time></td>
                      <td class="why">${now.finding}</td>
                      <td>${now.records.map((id) => html`<a href="/record/${id}">${id.slice(-12)}</a> `)}</td>
                    </tr>`
                  : '',
              )}
            </tbody>
          </table>
        </div>
      </section>
      <section>
        <h2>How they turned <small>newest first</small></h2>
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th>Time</th>
                <th>Check</th>
                <th>From</th>
                <th>To</th>
                <th class="n">Checkpoint</th>
                <th>Entry</th>
              </tr>
            </thead>
            <tbody>
              ${history(checks).map(
                ({ check, at, was, is, accepted, id, checkpoints }) =>
                  html`<tr>
                    <td><time datetime="${at}">${minute(at)}</time></td>
                    <td>${check}</td>
                    <td>${was}</td>
                    <td>${verdict(is, accepted)}</td>
                    <td class="n">${checkpoints.map(({ size }) => size).join(', ')}</td>
                    <td>${id ? html`<a href="/record/${id}">${id.slice(-12)}</a>` : '…'}</td>
                  </tr>`,
              )}
            </tbody>
          </table>
        </div>
      </section>
    `,
    60,
  )

/** Turns that the page shows. */
const maxShown = 200

const history = (checks: ConsoleChecks['checks']) =>
  checks
    .flatMap(({ check, turns }) => turns.map((turn) => ({ check, ...turn })))
    .sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : a.check < b.check ? -1 : 1))
    .slice(0, maxShown)

const tones: Readonly<Record<string, string>> = { pass: 'allow', fail: 'deny' }
const verdict = (is: string, accepted: boolean): Html =>
  html`<span class="verdict ${accepted ? 'fault' : (tones[is] ?? 'fault')}">${is}${accepted ? ', accepted' : ''}</span>`

const minute = (at: string): string => at.slice(0, 16).replace('T', ' ')
