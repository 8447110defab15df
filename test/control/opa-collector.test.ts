import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { makeOpaCollector } from '../../control/opa-collector.ts'
import { WritError } from '../../core/fault.ts'
import type { EventBody, OpaDecisionBody, RecordId } from '../../core/record.ts'
import type { SpiffeId } from '../../core/spiffe.ts'

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()
const orders = 'spiffe://bank.example/opa/orders' as SpiffeId
const stock = 'spiffe://bank.example/opa/stock' as SpiffeId

const event = (id: string, more: object = {}): string =>
  JSON.stringify({ decision_id: id, timestamp: '2026-11-23T10:00:00Z', result: true, ...more })

/** A sink that keeps what `full` lets it. */
function collector(remembered?: number) {
  const kept: OpaDecisionBody[] = []
  const state = { full: false, gate: Promise.resolve() }
  const sink = {
    async keep(body: EventBody): Promise<RecordId> {
      await state.gate
      if (state.full) throw new WritError('audit_unavailable', 'the spool is full')
      kept.push(body as OpaDecisionBody)
      return {} as RecordId
    },
    outcome: () => undefined,
    refused: () => undefined,
  }
  return { kept, state, collect: makeOpaCollector(sink, sha256, remembered) }
}

const idsOf = (kept: readonly OpaDecisionBody[]): unknown[] => kept.map((body) => body.event?.['decision_id'])

test('events are kept in the order that they came in, in the name of the token', async () => {
  const { kept, collect } = collector()
  const items = Array.from({ length: 600 }, (_, i) => event(`d${i}`))
  expect(await collect(orders, items)).toEqual({ kept: 600, repeated: 0, malformed: [] })
  expect(idsOf(kept)).toEqual(items.map((_, i) => `d${i}`))
  expect(new Set(kept.map(({ workload }) => workload))).toEqual(new Set([orders]))
})

test('what comes again is kept once, another event of the same id beside it, and another name’s is its own', async () => {
  const { kept, collect } = collector()
  await collect(orders, [event('a'), event('b')])
  expect(await collect(orders, [event('a'), ` ${event('b')}\n`, event('c')])).toMatchObject({ kept: 1, repeated: 2 })
  expect(await collect(orders, [event('a', { result: false })])).toMatchObject({ kept: 1, repeated: 0 })
  expect(await collect(stock, [event('a')])).toMatchObject({ kept: 1, repeated: 0 })
  expect(
    kept.map(({ workload, event, repeats }) => [workload, event!['decision_id'], event!['result'], repeats]),
  ).toEqual([
    [orders, 'a', true, undefined],
    [orders, 'b', true, undefined],
    [orders, 'c', true, undefined],
    [orders, 'a', false, true],
    [stock, 'a', true, undefined],
  ])
})

test('one that comes twice in an upload is kept once', async () => {
  const { kept, collect } = collector()
  expect(await collect(orders, [event('a'), event('a')])).toMatchObject({ kept: 1, repeated: 1 })
  expect(kept).toHaveLength(1)
})

test('what is no event is kept as that, named, and no other is lost by it', async () => {
  const { kept, collect } = collector()
  expect(await collect(orders, [event('a'), '{"x":', event('b'), '{}'])).toEqual({
    kept: 4,
    repeated: 0,
    malformed: [
      { index: 1, why: 'text that is no JSON' },
      { index: 3, why: 'it has no decision_id' },
    ],
  })
  expect(idsOf(kept)).toEqual(['a', undefined, 'b', undefined])
  expect(kept[1]!.malformed).toMatchObject({ why: 'text that is no JSON', bytes: 5, text: '{"x":' })
  expect(await collect(orders, ['{"x":'])).toMatchObject({ kept: 0, repeated: 1, malformed: [{ index: 0 }] })
})

test('where one is not kept the upload fails, and sent again it is kept whole and once', async () => {
  const { kept, state, collect } = collector()
  await collect(orders, [event('a')])
  state.full = true
  await expect(collect(orders, [event('a'), event('b')])).rejects.toMatchObject({ code: 'audit_unavailable' })
  state.full = false
  expect(await collect(orders, [event('a'), event('b')])).toMatchObject({ kept: 1, repeated: 1 })
  expect(idsOf(kept)).toEqual(['a', 'b'])
})

test('one that is only being kept is not said to be kept: whoever sends it again learns the same', async () => {
  const { state, collect } = collector()
  let open = (): void => undefined
  state.gate = new Promise((resolve) => {
    open = resolve
  })
  state.full = true
  const both = [collect(orders, [event('a')]), collect(orders, [event('a')])]
  open()
  const settled = await Promise.allSettled(both)
  expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
})

test('it remembers as many as it is told: within them nothing is kept twice, beyond them it is', async () => {
  const { kept, collect } = collector(2)
  await collect(orders, [event('a'), event('b')])
  expect(await collect(orders, [event('a')])).toMatchObject({ repeated: 1 })
  await collect(orders, [event('c')])
  expect(await collect(orders, [event('a')])).toMatchObject({ repeated: 0 })
  expect(idsOf(kept)).toEqual(['a', 'b', 'c', 'a'])
})
