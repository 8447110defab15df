import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readDeclared } from '../../../audit/report/files/declared.ts'
import { ComplianceGatherer, type GatherSource } from '../../../audit/report/gather/gather.ts'
import { mayBeCard } from '../../../audit/report/gather/likes.ts'
import { eventOf, isPlain, Part, type Period, type SavedPart } from '../../../audit/report/gather/part.ts'
import { cardIn } from '../../../audit/report/gather/personal.ts'
import { planOf } from '../../../audit/report/gather/plan.ts'
import { everything } from '../../../audit/report/gather/scope.ts'
import type { PlacedLeaf } from '../../../audit/verify/tree.ts'
import { utf8 } from '../../../core/bytes.ts'
import type { Json } from '../../../core/json.ts'
import { type Call, id, leafHashOf, Producer, sha256, startMs } from '../verify/producer.ts'
import { catalogueOnce, declaredFile, showing, World } from './world.ts'

/** Calls of a few sorts, with what tells one from another in odd places. */
const oneOf = <Value>(usual: Value, ...others: readonly Value[]) =>
  fc.oneof({ arbitrary: fc.constant(usual), weight: 3 * others.length }, ...others.map((one) => fc.constant(one)))
const sort = fc.record({
  caller: oneOf(id('web'), undefined, id('ledger'), id('old')),
  verdict: oneOf<'allow' | 'deny' | 'fault'>('allow', 'deny', 'fault'),
  path: oneOf('/a', '', '/1234567890123', '/c/411111111111111'),
  proof: fc.constantFrom('x509', 'x509', 'jwt', 'none'),
  // A life of 30 s: records come to lie over its shares.
  lifeMs: fc.constantFrom(30_000, 90_000_000),
  token: oneOf('', '1'.repeat(64), '2'.repeat(64)),
  user: oneOf('', 'ada'),
  direction: oneOf<'inbound' | 'outbound'>('inbound', 'outbound'),
})
const step = fc.record({
  sort: fc.nat(),
  stepMs: fc.constantFrom(0, 1, 3000, 7000, -2000),
  source: fc.constantFrom('10.0.0.7', '10.0.0.8', ''),
  path: oneOf('', '/b/4111 1111-1111 1111', '/Zoë'),
  other: fc.constantFrom('', '', '', '', 'head', 'ledger', 'restart', 'outcomes', 'finding', 'start'),
})
const calls = fc
  .tuple(fc.array(sort, { minLength: 1, maxLength: 4 }), fc.array(step, { minLength: 20, maxLength: 60 }))
  .map(([sorts, steps]) =>
    steps.map((one) => ({
      ...sorts[one.sort % sorts.length]!,
      ...one,
      path: one.path || sorts[one.sort % sorts.length]!.path,
    })),
  )
type Calls = typeof calls extends fc.Arbitrary<infer Value> ? Value : never

function leavesOf(list: Calls): readonly Uint8Array[] {
  const world = new World()
  const web = new Producer('web')
  const baseMs = world.orders.nowMs
  for (const { caller, verdict, path, proof, lifeMs, token, user, stepMs, other, direction, source } of list) {
    const call = { caller, verdict, path, proof, direction, notBeforeMs: baseMs, notAfterMs: baseMs + lifeMs } as Call
    world.decide(call, (body) => {
      if (token) showing(token)(body)
      const { attributes } = body['input'] as { attributes: { [name: string]: { [name: string]: Json } } }
      const http = attributes['request']!['http'] as { [name: string]: Json }
      if (user) http['headers'] = { 'x-user': user }
      const from = attributes['source'] as { [name: string]: Json }
      from['address'] = { socketAddress: { address: source, portValue: 40_000 + (world.orders.seq % 7) } }
    })
    world.at(Math.max(0, world.orders.nowMs + stepMs))
    if (other === 'head') world.leaves.push(world.orders.head())
    if (other === 'ledger') world.leaves.push(world.auditor.write(world.finding('unused_grant')))
    if (other === 'restart') world.leaves.push(world.orders.restart())
    if (other === 'finding') world.leaves.push(world.auditor.write(world.finding('first_seen')))
    if (other === 'start' && web.seq === 0) world.leaves.push(web.start())
    if (other !== 'outcomes') continue
    const outcome = { seq: 1, code: 'completed', status: 200, request_bytes: 0, response_bytes: 1, duration_us: 1 }
    world.put(world.orders, { kind: 'outcomes', outcomes: [outcome] } as never)
  }
  return world.leaves
}

const placed = (leaves: readonly Uint8Array[]): readonly PlacedLeaf[] =>
  leaves.map((bytes, index) => {
    const hash = Buffer.from(leafHashOf(bytes)).toString('hex')
    // The scanner reads words, and may look behind the end.
    const file = new Uint8Array(bytes.length + 16)
    file.set(bytes)
    return { index, hash, file, from: 0, to: bytes.length }
  })

const settings = async () => {
  const { checks } = await catalogueOnce()
  return { checks, declared: readDeclared(declaredFile, 'declared'), scope: everything }
}

test('records that are alike are counted as they would be one by one', async () => {
  const plan = planOf(await settings())
  fc.assert(
    fc.property(calls, fc.boolean(), (list, cut) => {
      const leaves = placed(leavesOf(list))
      const period = cut ? { fromMs: startMs + 1_810_000, toMs: startMs + 1_840_000 } : undefined
      const [alike, single] = [0, 1].map(() => new Part(plan, 0, leaves.length, period)) as [Part, Part]
      for (const leaf of leaves) {
        alike.take(leaf, 0, undefined, isPlain(leaf))
        single.take(leaf, 0, eventOf(leaf), false)
      }
      expect(shown(alike.save())).toEqual(shown(single.save()))
      expect(alike.alike).toBeGreaterThan(20)
    }),
    { numRuns: 25, endOnFailure: true },
  )
})

/** Names by what they are, not by their number. */
function shown({ inside, ...rest }: SavedPart): Json {
  const { names, tallies, ...more } = inside
  const named = tallies.map(({ subjects, ...tally }) => ({
    ...tally,
    subjects: subjects.map((n, i) => (i % 2 ? n : names[n])),
  }))
  return JSON.parse(JSON.stringify({ ...rest, ...more, named })) as Json
}

const drawnOf = ['M05', 'M20', 'M22']

/** What a gathering comes to, with the samples of all tallies; some of its parts are kept, and some leaves are read before. */
async function gathered(
  leaves: readonly PlacedLeaf[],
  period: Period,
  kept: Map<number, string>,
  from: number,
  partLeaves: number = 256,
): Promise<Json> {
  const source: GatherSource = {
    async *leaves(_, range) {
      yield leaves.slice(range.from, range.to)
    },
    kept: async (_, part) => (kept.has(part) ? (JSON.parse(kept.get(part)!) as SavedPart) : undefined),
    keep: async (_, part, saved) => {
      kept.set(part, JSON.stringify(saved))
    },
    doubt: (what) => {
      throw new Error(what)
    },
  }
  const given = { ...(await settings()), ...period, seed: '0123456789abcdef', sha256, partLeaves }
  const gatherer = new ComplianceGatherer(given, source)
  await gatherer.shard(0, from, leaves.length)
  for (let first = from; first < leaves.length; first = 256 * Math.floor(first / 256) + 256) {
    await gatherer.bundle(0, first)
    for (const leaf of leaves.slice(first, 256 * Math.floor(first / 256) + 256)) {
      gatherer.take(leaf, 0, undefined, isPlain(leaf))
    }
  }
  await gatherer.end()
  const verification = { findings: [], shards: [], epochs: [], kinds: {}, broken: 0, trust: { from: 'log', roots: [] } }
  const ending = { verification: verification as never, reproved: { seed: '', drawn: [] }, anchors: [] }
  const { evidence, tallies, ...rest } = gatherer.finish(ending, true)
  const samples: Json[] = []
  for (const [check, own] of [...tallies].filter(([check]) => drawnOf.includes(check)))
    for (const [name, { draw }] of own) samples.push([check, name, (await draw()) as never])
  return JSON.parse(JSON.stringify({ ...rest, evidence: [...evidence], samples })) as Json
}

test('a sum of parts is the same whichever of them were kept, and wherever the reading began', async () => {
  const random = fc.sample(calls, { numRuns: 40, seed: 7 }).flat()
  const leaves = placed(leavesOf(random.slice(0, 800)))
  expect(leaves.length).toBeGreaterThan(768)
  const times = leaves.map((leaf) => Date.parse(eventOf(leaf)!.timestamp)).sort((a, b) => a - b)
  const at = (share: number): number => times[Math.floor(share * (times.length - 1))]!
  const parts = Math.floor(leaves.length / 256)
  await fc.assert(
    fc.asyncProperty(
      ...[fc.constantFrom(0, 0.1, 0.3, 0.45), fc.constantFrom(0.5, 0.7, 0.9, 1)],
      ...[fc.subarray(Array.from({ length: parts }, (_, i) => i)), fc.nat(leaves.length)],
      async (a, b, some, from) => {
        const period = { fromMs: at(a), toMs: at(b) + 1 }
        const all = new Map<number, string>()
        const fresh = await gathered(leaves, period, all, 0)
        expect(all.size).toBe(parts)
        expect(fresh).toEqual(await gathered(leaves, period, new Map(), leaves.length, 65_536))
        const kept = new Map(some.map((part) => [part, all.get(part)!]))
        expect(await gathered(leaves, period, kept, from)).toEqual(fresh)
      },
    ),
    { numRuns: 4, endOnFailure: true },
  )
})

test('a sum that was changed is found out by the bundles that are drawn from it', async () => {
  const leaves = placed(leavesOf(fc.sample(calls, { numRuns: 12, seed: 3 }).flat()))
  const period = { fromMs: 0, toMs: 8e15 }
  const kept = new Map<number, string>()
  await gathered(leaves, period, kept, 0)
  const changed = kept.get(0)!.replace(/"bundles":\[(\d+)\]/g, (_, count) => `"bundles":[${Number(count) + 1}]`)
  expect(changed).not.toBe(kept.get(0))
  await expect(gathered(leaves, period, new Map([[0, changed]]), 0)).rejects.toThrow('leaves 0 and on have')
})

test('no text with the number of a card passes for one that has none', () => {
  const digits = fc.array(fc.constantFrom(...'0123456789 -/a'), { maxLength: 60 }).map((list) => list.join(''))
  fc.assert(
    fc.property(digits, (text) => {
      const bytes = utf8(text)
      if (cardIn(text)) expect(mayBeCard(bytes, 0, bytes.length)).toBe(true)
      const runs = /[0-9 -]{13}/.test(text)
      expect(mayBeCard(bytes, 0, bytes.length)).toBe(runs)
    }),
    { numRuns: 2000 },
  )
})
