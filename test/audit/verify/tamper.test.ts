import fc from 'fast-check'
import { expect, test } from 'vitest'
import { verifyLog } from '../../../audit/verify/verify.ts'
import { concat, utf8 } from '../../../core/bytes.ts'
import { encodeEvent, parseEvent } from '../../../core/record.ts'
import { type Files, filesOf, Mesh, partsOf, Signer, verifyLeaves } from './log.ts'
import { verifyTestHead } from './producer.ts'

const signer = new Signer()
const mesh = new Mesh().calls(240).head()
const files = await filesOf(mesh.leaves, signer)

const copyOf = (from: Files): Files => new Map([...from].map(([path, bytes]) => [path, bytes.slice()]))
const anyFile = fc.constantFrom(...files.keys())

test('any bit of any file flipped breaks the log', async () => {
  await fc.assert(
    fc.asyncProperty(anyFile, fc.nat(), fc.nat(7), async (path, at, bit) => {
      const tampered = copyOf(files)
      const bytes = tampered.get(path)!
      bytes[at % bytes.length]! ^= 1 << bit
      expect((await verifyLog(partsOf([tampered], signer))).ok).toBe(false)
    }),
    { numRuns: 60 },
  )
})

test('any file cut short, prolonged or taken away breaks the log', async () => {
  await fc.assert(
    fc.asyncProperty(anyFile, fc.nat(), fc.constantFrom('cut', 'prolong', 'remove'), async (path, at, how) => {
      const tampered = copyOf(files)
      const bytes = tampered.get(path)!
      if (how === 'remove') tampered.delete(path)
      else if (how === 'cut') tampered.set(path, bytes.slice(0, at % bytes.length))
      else tampered.set(path, concat(bytes, Uint8Array.of(at % 256)))
      expect((await verifyLog(partsOf([tampered], signer))).ok).toBe(false)
    }),
    { numRuns: 40 },
  )
})

test('any record of a producer but its last dropped, moved or told twice breaks the log, whoever signs the tree', async () => {
  const small = new Mesh().calls(20).head().leaves
  const lastHead = small.length - 1
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 4, max: lastHead - 1 }),
      fc.nat(lastHead),
      fc.constantFrom('drop', 'move', 'repeat'),
      async (from, to, how) => {
        const leaves = [...small]
        const [taken] = how === 'repeat' ? [leaves[from]!] : leaves.splice(from, 1)
        if (how !== 'drop') leaves.splice(to, 0, taken!)
        const { ok, findings } = await verifyLeaves(leaves)
        // Late is not lost: a record that only moved is in its place among its producer's numbers.
        if (how === 'move') expect(findings.some(({ code }) => code === 'hole' || code === 'chain_broken')).toBe(false)
        else expect(ok).toBe(false)
      },
    ),
    { numRuns: 60 },
  )
})

test('bodies of any shape are judged, never thrown at', async () => {
  const start = parseEvent(mesh.orders.restart())
  if ('wrong' in start) throw new Error(start.wrong)
  const kinds = fc.constantFrom(
    'decision',
    'outcomes',
    'refusals',
    'svid',
    'head',
    'issuance',
    'trust',
    'gap',
    'anomaly',
  )
  const names = [
    'counts',
    'sig',
    'signer',
    'svid',
    'of',
    'first',
    'last',
    'action',
    'roots',
    'trust_domain',
    'peer',
    'anomaly',
    'final',
    'serial',
    'workload',
    'previous',
  ]
  const body = fc.dictionary(fc.constantFrom(...names), fc.jsonValue())
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(kinds, body, fc.nat(5)), { maxLength: 8 }), async (bodies) => {
      const producer = fc.sample(fc.constantFrom('orders', 'writ/control', 'writ/auditor'), 1)[0]
      const leaves = bodies.map(([kind, members, seq]) => {
        const own = { ...start.event, ...members, kind, seq: seq + 1, producer: `spiffe://bank.example/${producer}` }
        return encodeEvent({ ...own, decision_id: `${start.event.epoch}-${seq + 1}` } as never)
      })
      const result = await verifyLeaves([...mesh.leaves.slice(0, 5), ...leaves])
      expect(Array.isArray(result.findings)).toBe(true)
    }),
    { numRuns: 150 },
  )
})

test('files of any content are judged, never thrown at', async () => {
  const file = fc.uint8Array({ maxLength: 600 })
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(anyFile, file), { maxLength: 5 }), async (list) => {
      const strange: Files = new Map([...files, ...list.filter(([path]) => path !== 'checkpoint')])
      await verifyLog(partsOf([strange], signer))
      const result = await verifyLog(partsOf([new Map(list)], signer))
      expect(result.ok).toBe(false)
    }),
    { numRuns: 60 },
  )
})

test('a checkpoint over more leaves than there are files ends with findings, not with memory', async () => {
  const huge: Files = new Map([['checkpoint', utf8(await signer.checkpoint(0, 2 ** 40, new Uint8Array(32)))]])
  const result = await verifyLog({ ...partsOf([huge], signer), verifyHead: verifyTestHead })
  expect(result.ok).toBe(false)
  expect(result.findings.length).toBeLessThanOrEqual(1000)
})
