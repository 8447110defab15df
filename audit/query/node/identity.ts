/** What a SPIFFE ID was at a time, from the issuance records; and what it reached through others, by trace and request. */

import type { Json } from '../../../core/json.ts'
import { isNamed } from '../../../core/spiffe.ts'
import { idHex } from '../../store/copy.ts'
import { sql } from '../../store/drizzle.ts'
import type { Db } from '../../store/schema.ts'
import type { AnswerRow, CannedAnswer } from '../questions.ts'
import { issuances } from './certificates.ts'
import { findDecisions, isoTime } from './find.ts'
import { rowsFrom, time } from './sql.ts'

/** Certificates and tokens that were good at that time, and what was shown for each. */
export async function whoWas(db: Db, id: string, atMs: number): Promise<CannedAnswer> {
  const rows: AnswerRow[] = []
  const revoked = new Map<string, string>()
  const all = await issuances(db, atMs - issuedBeforeMs, atMs + 1)
  for (const event of all)
    if (event['action'] === 'revoked') revoked.set(String(event['serial']), String(event['timestamp']))
  for (const event of all) {
    const subject = String(event['subject'])
    if (!isNamed(subject, id)) continue
    if (event['action'] !== 'issued' && event['action'] !== 'renewed') continue
    const [from, to] = [Date.parse(String(event['not_before'])), Date.parse(String(event['not_after']))]
    if (from > atMs || to <= atMs || Date.parse(String(event['timestamp'])) > atMs) continue
    const end = revoked.get(String(event['serial']))
    if (end !== undefined && Date.parse(end) <= atMs) continue
    rows.push({
      id: subject,
      how: String(event['action']),
      evidence: (event['evidence'] ?? null) as Json,
      serial: (event['serial'] ?? null) as Json,
      not_before: (event['not_before'] ?? null) as Json,
      not_after: (event['not_after'] ?? null) as Json,
      audience: (event['audience'] ?? null) as Json,
      at: (event['timestamp'] ?? null) as Json,
      record: `${event['epoch']}-${event['seq']}`,
      shard: event.shard,
      index: event.index,
    })
  }
  const at = new Date(atMs).toISOString()
  const [seen] = (await findDecisions(db, { caller: id, toMs: atMs + 1, fromMs: atMs - 86_400_000, limit: 1 })).rows
  const notes = seen
    ? [
        `Last seen calling at ${seen.time.slice(0, 19)}Z from ${seen.sourceAddress ?? 'nowhere known'}, with the serial ${seen.serial ?? 'unknown'}.`,
      ]
    : ['It called nobody in the day before.']
  if (rows.length === 0) notes.push('No certificate that this log saw issued was good then.')
  return {
    question: 'who',
    asks: `What ${id} was at ${at.slice(0, 19)}Z`,
    since: at,
    until: at,
    columns: [
      { name: 'id', kind: 'id', title: 'ID' },
      { name: 'how', kind: 'text', title: 'HOW' },
      { name: 'evidence', kind: 'text', title: 'FOR' },
      { name: 'serial', kind: 'text', title: 'SERIAL' },
      { name: 'not_before', kind: 'time', title: 'FROM' },
      { name: 'not_after', kind: 'time', title: 'TO' },
      { name: 'audience', kind: 'text' },
      { name: 'at', kind: 'time' },
      { name: 'record', kind: 'record' },
      { name: 'shard', kind: 'number' },
      { name: 'index', kind: 'number' },
    ],
    rows,
    cut: false,
    notes,
  }
}

/** Issuance is looked for so long before, in milliseconds. */
const issuedBeforeMs = 31 * 86_400_000

/** Calls of the first hop that are followed, and all records of their traces that are read. */
const maxCalls = 20_000
const maxHops = 100_000
const idsAtOnce = 500

interface Hop {
  readonly caller: string
  readonly target: string
  readonly verdict: string
  readonly at: string
  readonly shard: number
  readonly index: number
  readonly epoch: string
  readonly seq: number
}

/** Everything that `id` reached in a window: itself, and through whom it called, as far as ids of traces and requests show. */
export async function reached(db: Db, id: string, sinceMs: number, untilMs: number): Promise<CannedAnswer> {
  const calls = await rowsFrom(
    db,
    sql`select trace_id, request_id from records where kind = 'decision' and writ_named(caller, ${id})
      and at >= ${time(sinceMs)} and at < ${time(untilMs)} and enforced is not false order by at desc limit ${maxCalls + 1}`,
  )
  const followed = calls.slice(0, maxCalls)
  const traces = distinct(followed.map((row) => row['trace_id']))
  const requests = distinct(followed.filter((row) => !row['trace_id']).map((row) => row['request_id']))
  const blind = followed.filter((row) => !row['trace_id'] && !row['request_id']).length
  const groups = new Map<string, Hop[]>()
  let read = 0
  for (const [column, ids] of [
    ['trace_id', traces],
    ['request_id', requests],
  ] as const) {
    for (let from = 0; from < ids.length && read < maxHops; from += idsAtOnce) {
      const some = sql.join(
        ids.slice(from, from + idsAtOnce).map((one) => sql`decode(${idHex(one)}, 'hex')`),
        sql`, `,
      )
      const key = sql.raw(column === 'trace_id' ? 'trace_key' : 'request_key')
      const hops = await rowsFrom(
        db,
        sql`select ${sql.raw(column)} as one, caller, target, verdict, at, shard, index, epoch, seq from records
          where kind = 'decision' and direction = 'inbound' and enforced is not false and ${key} in (${some})
          and at >= ${time(sinceMs)} and at < ${time(untilMs + 3_600_000)} order by at limit ${maxHops - read}`,
      )
      read += hops.length
      for (const hop of hops) {
        const list = groups.get(`${column}${hop['one']}`) ?? []
        list.push({ ...(hop as unknown as Hop), index: Number(hop['index']), seq: Number(hop['seq']) })
        groups.set(`${column}${hop['one']}`, list)
      }
    }
  }
  const sums = new Map<string, { hops: number; through: string; calls: number; denied: number; last: Hop }>()
  for (const hops of groups.values()) for (const step of stepsOf(hops, id)) add(sums, step)
  const rows = [...sums].map(([key, { hops, through, calls: count, denied, last }]): AnswerRow => {
    return {
      target: JSON.parse(key)[0] as string,
      hops,
      through,
      calls: count,
      denied,
      last_at: isoTime(last.at),
      record: `${last.epoch}-${last.seq}`,
      shard: last.shard,
      index: last.index,
    }
  })
  rows.sort((a, b) => Number(a['hops']) - Number(b['hops']) || Number(b['calls']) - Number(a['calls']))
  const notes = [
    'Hops are joined by trace id, or by request id where there is none. A workload that passes neither on ends the trail, and so does a target without a proxy.',
    'That a call had the same trace does not prove that one caused the other.',
  ]
  if (blind > 0) notes.push(`${blind} calls had neither: what came of them cannot be followed.`)
  if (calls.length > maxCalls) notes.push(`Only the newest ${maxCalls.toLocaleString('en-US')} calls were followed.`)
  if (read >= maxHops) notes.push(`Only ${maxHops.toLocaleString('en-US')} records of their traces were read.`)
  return {
    question: 'reach',
    asks: `What ${id} reached, itself and through others`,
    since: new Date(sinceMs).toISOString(),
    until: new Date(untilMs).toISOString(),
    columns: [
      { name: 'target', kind: 'id', title: 'TARGET' },
      { name: 'hops', kind: 'number', title: 'HOPS' },
      { name: 'through', kind: 'text', title: 'THROUGH' },
      { name: 'calls', kind: 'count', title: 'CALLS' },
      { name: 'denied', kind: 'count', title: 'DENIED' },
      { name: 'last_at', kind: 'time', title: 'LAST' },
      { name: 'record', kind: 'record' },
      { name: 'shard', kind: 'number' },
      { name: 'index', kind: 'number' },
    ],
    rows,
    cut: false,
    notes,
  }
}

interface Step {
  readonly hop: Hop
  readonly hops: number
  readonly through: readonly string[]
}

/** From the one who called, hop by hop: a workload goes on only from where it was let in. */
function stepsOf(hops: readonly Hop[], id: string): readonly Step[] {
  const steps: Step[] = []
  const reachedBy = new Map<string, readonly string[]>()
  for (const hop of hops) if (isNamed(hop.caller ?? '', id)) reachedBy.set(hop.caller, [])
  const taken = new Set<Hop>()
  for (let grew = true; grew; ) {
    grew = false
    for (const hop of hops) {
      const path = reachedBy.get(hop.caller ?? '')
      if (!path || taken.has(hop)) continue
      taken.add(hop)
      grew = true
      steps.push({ hop, hops: path.length + 1, through: path })
      if (hop.verdict === 'allow' && !reachedBy.has(hop.target))
        reachedBy.set(hop.target, [...path, shortOf(hop.target)])
    }
  }
  return steps
}

function add(
  sums: Map<string, { hops: number; through: string; calls: number; denied: number; last: Hop }>,
  { hop, hops, through }: Step,
): void {
  const way = through.join(' > ')
  const key = JSON.stringify([hop.target, way])
  const sum = sums.get(key) ?? { hops, through: way, calls: 0, denied: 0, last: hop }
  sum.calls++
  if (hop.verdict !== 'allow') sum.denied++
  if (hop.at > sum.last.at) sum.last = hop
  sums.set(key, sum)
}

const distinct = (values: readonly unknown[]): readonly string[] => [
  ...new Set(values.filter((value): value is string => typeof value === 'string' && value !== '')),
]

const shortOf = (id: string): string => id.replace(/^spiffe:\/\/[^/]+\//, '')
