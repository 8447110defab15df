import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ArrivedRecord } from '../../../audit/store/arrival.ts'
import { type Readmission, type Readmitted, readmit } from '../../../audit/store/readmit.ts'
import type { GapRow } from '../../../audit/store/schema.ts'
import type { AuditEvent } from '../../../core/record.ts'

/** Entries of a log, in whatever order and as contradictory as whoever wrote them liked. */

const epochs = ['a'.repeat(24), 'b'.repeat(24)]
const epoch = fc.constantFrom(...epochs)
const seq = fc.nat(12)
const range = fc.tuple(seq, seq).map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) }))
const body = fc.oneof(
  fc.constant({ kind: 'start' }),
  fc.record({ kind: fc.constant('head'), final: fc.boolean() }),
  fc.tuple(fc.constantFrom('opened', 'closed'), epoch, range).map(([action, of, numbers]) => {
    return { kind: 'gap', action, of: { epoch: of }, ...numbers }
  }),
  fc.tuple(fc.constantFrom('bad_head', 'malformed'), epoch, seq).map(([anomaly, of, number]) => {
    return { kind: 'anomaly', anomaly, of: { epoch: of, seq: number } }
  }),
)
const entry = fc.tuple(epoch, seq, body).map(([of, number, more]): ArrivedRecord => {
  const event = { epoch: of, seq: number, producer: 'spiffe://bank.example/web', timestamp, ...more }
  const hash = Uint8Array.of(number, of.charCodeAt(0))
  return { event: event as unknown as AuditEvent, bytes: hash, hash, hashHex: '' }
})
const timestamp = '2026-11-23T12:00:00.000000000Z'
const log = fc.array(entry, { maxLength: 30 })

/** The tables as whoever writes what `readmit` gives has them. */
function stored(batches: readonly (readonly ArrivedRecord[])[]) {
  const state: Readmission = { epochs: new Map(), gaps: new Map() }
  const tables = { epochs: new Map<string, unknown>(), gaps: [] as GapRow[] }
  let first = 0
  for (const batch of batches) {
    const { epochs: changed, gaps }: Readmitted = readmit(state, 0, first, batch)
    first += batch.length
    for (const row of changed) tables.epochs.set(row.epoch, row)
    for (const { epoch: of, first: number } of gaps.gone) {
      const at = tables.gaps.findIndex((row) => row.epoch === of && row.first === number)
      expect(at).toBeGreaterThanOrEqual(0)
      tables.gaps.splice(at, 1)
    }
    tables.gaps.push(...gaps.rows)
  }
  return { state, tables }
}

const inOrder = (rows: readonly GapRow[]): readonly string[] => rows.map((row) => JSON.stringify(row)).sort()

test('an epoch goes on after its highest number, and its heads attest no more than they are', () => {
  fc.assert(
    fc.property(log, (entries) => {
      const { tables } = stored([entries])
      for (const of of epochs) {
        const seqs = entries.flatMap(({ event }) => (event.epoch === of ? [event.seq] : []))
        const heads = entries.flatMap(({ event }) => (event.epoch === of && event.kind === 'head' ? [event.seq] : []))
        if (seqs.length === 0) {
          expect(tables.epochs.has(of)).toBe(false)
          continue
        }
        const row = tables.epochs.get(of) as { nextSeq: number; attestedSeq: number }
        expect(row.nextSeq).toBe(Math.max(...seqs) + 1)
        expect([-1, ...heads]).toContain(row.attestedSeq)
      }
    }),
    { numRuns: 300 },
  )
})

/** Holes that never overlap, as an auditor finds them; closings are whatever they are. */
const holes = fc.constantFrom(...epochs).chain((of) =>
  fc.array(range, { minLength: 1, maxLength: 12 }).map((closed) => {
    const gap = (action: string, { first, last }: { first: number; last: number }, number: number): ArrivedRecord => {
      const event = { epoch: epochs[0], seq: number, producer: 'p', timestamp, kind: 'gap', action, of: { epoch: of } }
      const hash = Uint8Array.of(number)
      return { event: { ...event, first, last } as unknown as AuditEvent, bytes: hash, hash, hashHex: '' }
    }
    const opened = [gap('opened', { first: 0, last: 5 }, 0), gap('opened', { first: 7, last: 12 }, 1)]
    return [...opened, ...closed.map((one, i) => gap('closed', one, i + 2))]
  }),
)

test('each number of a hole stands in one row, open until an entry closed it', () => {
  fc.assert(
    fc.property(holes, (entries) => {
      const { tables } = stored([entries])
      const numbers = tables.gaps.flatMap(({ first, last }) =>
        Array.from({ length: last - first + 1 }, (_, i) => first + i),
      )
      expect(numbers.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12])
      for (const { first, last, closedIndex } of tables.gaps) {
        if (closedIndex !== null) expect(entries[closedIndex]!.event).toMatchObject({ action: 'closed', first, last })
      }
    }),
    { numRuns: 300 },
  )
})

test('entries taken in batches, cut anywhere, come to the same tables as all of them at once', () => {
  fc.assert(
    fc.property(holes, log, fc.array(fc.nat(40), { maxLength: 4 }), (gaps, rest, cuts) => {
      const entries = [...gaps, ...rest.filter(({ event }) => event.kind !== 'gap')]
      const places = [0, ...cuts.map((cut) => Math.min(cut, entries.length)).sort((a, b) => a - b), entries.length]
      const batches = places.slice(1).map((to, i) => entries.slice(places[i], to))
      const [one, many] = [stored([entries]), stored(batches)]
      expect(many.tables.epochs).toEqual(one.tables.epochs)
      expect(inOrder(many.tables.gaps)).toEqual(inOrder(one.tables.gaps))
      expect(inOrder([...many.state.gaps.values()].flat())).toEqual(inOrder(many.tables.gaps))
    }),
    { numRuns: 300 },
  )
})
