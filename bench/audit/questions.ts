/** What an auditor asks, through the product's own query code: the ten questions, and `writ audit find`. */

import type { Store } from '../../audit/node/store.ts'
import type { Cursor, Question } from '../../audit/query/ask.ts'
import { canned } from '../../audit/query/node/canned.ts'
import { findDecisions } from '../../audit/query/node/find.ts'
import { questions, readAsked } from '../../audit/query/questions.ts'
import type { Json } from '../../core/json.ts'
import { edges, names, services } from './mesh.ts'

export interface Ask {
  readonly name: string
  /** Gives how many rows the answer has. */
  readonly ask: () => Promise<number>
}

const dayMs = 86_400_000
const about: Readonly<Record<string, string>> = { target: names[edges[0]!.target]!, caller: names[edges[0]!.caller]! }

/** Each as it is asked by default, and over all four weeks. */
export function tenQuestions({ db }: Store, endMs: number): readonly Ask[] {
  return questions.flatMap((question) =>
    [question.since, '28d'].map((since): Ask => {
      const pairs: (readonly [string, string])[] = [['since', since]]
      if (question.about) pairs.push(['about', about[question.about]!])
      return {
        name: `${question.name}, ${since}`,
        ask: async () => (await canned({ db, data: grants }, readAsked(question.name, pairs, endMs))).rows.length,
      }
    }),
  )
}

/** Data of a policy that grants what the mesh does, and a little that nobody uses. */
const grants: Json = {
  bank: {
    trust_domain: 'bank.example',
    edges: edges.flatMap(({ caller, target, methods, refused }, i) => {
      if (refused) return []
      const [from, to] = [pathOf(names[caller]!), pathOf(names[target]!)]
      const path = i % 50 === 7 ? ['v2', '{}'] : ['v1', 'orders', '{}']
      return [...methods, ...(i % 40 === 0 ? ['PATCH'] : [])].map((method) => ({ from, to, method, path }))
    }),
  },
}

function pathOf(id: string): string {
  return id.replace(/^spiffe:\/\/[^/]+\//, '')
}

/** What `writ audit find` filters by: a first page of 50, and one that is reached by a cursor deep in the log. */
export async function finds({ db }: Store, endMs: number, leaves: number): Promise<readonly Ask[]> {
  const one = (await findDecisions(db, { limit: 1, caller: about['caller']!, toMs: endMs - 20 * dayMs })).rows[0]!
  const deep: Cursor = new Map([[0, Math.floor(leaves / 3)]])
  const rare = names[edges.at(-20)!.caller]!
  const day = { fromMs: endMs - 10 * dayMs, toMs: endMs - 9 * dayMs }
  const filters: readonly (readonly [string, Question])[] = [
    ['the newest', {}],
    ['a busy caller', { caller: about['caller']! }],
    ['a rare caller', { caller: rare }],
    ['a target by the end of its id', { target: names[services - 3]!.split('/').at(-1)! }],
    ['denials', { verdict: 'deny' }],
    ['denials of a rare caller', { verdict: 'deny', caller: rare }],
    ['a reason', { reason: 'allows DELETE' }],
    ['a reason that is nowhere', { reason: 'no such reason' }],
    ['a path', { path: '/v1/orders/77' }],
    ['a day', day],
    ['denials of a day', { ...day, verdict: 'deny' }],
    ['a claim', { claim: [{ name: 'sub', value: 'user-7' }] }],
    ['a claim of a caller', { claim: [{ name: 'sub', value: 'user-7' }], caller: about['caller']! }],
    ['an outcome', { outcome: '502' }],
    ['a caller that is none', { caller: 'nobody' }],
  ]
  const rowsOf = async (question: Question): Promise<number> => (await findDecisions(db, question)).rows.length
  return [
    { name: 'one decision by its id', ask: () => rowsOf({ id: one.id }) },
    { name: 'one decision by its request id', ask: () => rowsOf({ requestId: one.requestId! }) },
    { name: 'one decision by its trace id', ask: () => rowsOf({ traceId: one.traceId! }) },
    { name: 'a certificate by its serial', ask: () => rowsOf({ serial: one.serial! }) },
    { name: 'issuance records', ask: () => rowsOf({ kind: 'issuance' }) },
    ...filters.map(([name, question]): Ask => ({ name, ask: () => rowsOf({ limit: 50, ...question }) })),
    ...filters
      .filter(([, { fromMs }]) => fromMs === undefined)
      .map(
        ([name, question]): Ask => ({
          name: `${name}, deep`,
          ask: () => rowsOf({ limit: 50, ...question, cursor: deep }),
        }),
      ),
  ]
}
