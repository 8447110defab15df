/** Questions that an auditor asks, through the product's own query code where it has it, else over the views. */

import { sql } from 'drizzle-orm'
import { openStore } from '../../audit/node/store.ts'
import type { Question } from '../../audit/query/ask.ts'
import { findDecisions } from '../../audit/query/node/find.ts'
import { rowsOf } from '../../audit/store/sql.ts'

export interface Asked {
  readonly name: string
  readonly rows: number
  readonly firstMs: number
  readonly againMs: number
}

export async function askAll(url: string, say: (text: string) => void): Promise<readonly Asked[]> {
  const store = await openStore({ kind: 'postgres', url, statementTimeoutMs: 60_000 })
  const { db } = store
  const pick = await findDecisions(db, { limit: 200, toMs: Date.now() - 26 * 3_600_000 })
  const one = pick.rows.at(-1)!
  const page = (question: Question) => async () => (await findDecisions(db, question)).rows.length
  const table = (text: string) => async () => (await rowsOf(db.execute(sql.raw(text)))).length
  const hour = 3_600_000
  const day = { fromMs: Date.now() - 30 * hour, toMs: Date.now() - 29 * hour }
  const questions: readonly (readonly [string, () => Promise<number>])[] = [
    ['the newest decisions', page({ limit: 100 })],
    ['one decision by its id', page({ id: one.id })],
    ['one decision by its request id', page({ requestId: one.requestId! })],
    ['denials of one caller in an hour of yesterday', page({ verdict: 'deny', caller: 'batch', limit: 100, ...day })],
    [
      'who reached a target, by verdict and revision',
      table(`select caller, verdict, revision, sum(decisions),
      max(last_at) from traffic where target = 'spiffe://bank.example/ledger' group by 1, 2, 3`),
    ],
    [
      'what a caller reached',
      table(`select target, method, verdict, sum(decisions) from traffic
      where caller = 'spiffe://bank.example/partner' group by 1, 2, 3`),
    ],
    [
      'denials by the hour and edge',
      table(`select hour, caller, target, sum(decisions) from traffic
      where verdict = 'deny' group by 1, 2, 3`),
    ],
    [
      'first and last sight of every edge',
      table(`select caller, target, method, min(first_at), max(last_at)
      from traffic group by 1, 2, 3`),
    ],
    [
      'allows without a verified caller',
      table(`select target, sum(decisions) from traffic
      where caller is null and verdict = 'allow' group by 1`),
    ],
    [
      'decisions, errors and time by revision and target',
      table(`select bundle, revision, target, sum(decisions),
      sum(errors), sum(duration_us_sum) / nullif(sum(outcomes), 0) from traffic group by 1, 2, 3`),
    ],
    ['denials of a caller that has none (nothing found)', page({ verdict: 'deny', caller: 'nobody', limit: 100 })],
  ]
  const answers: Asked[] = []
  for (const [name, ask] of questions) {
    const at = performance.now()
    const rows = await ask()
    const firstMs = performance.now() - at
    const again = performance.now()
    await ask()
    answers.push({ name, rows, firstMs, againMs: performance.now() - again })
    say(`${name}: ${Math.round(firstMs)} ms, ${rows} rows`)
  }
  await store.close()
  return answers
}
