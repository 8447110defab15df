import fc from 'fast-check'
import { expect, test } from 'vitest'
import { memberFrom, memberNumbers, memberTo, scan } from '../../../audit/log/scan.ts'
import { verifyLog } from '../../../audit/verify/verify.ts'
import { fromUtf8, utf8 } from '../../../core/bytes.ts'
import { canonicalJson, type Json, parseJson } from '../../../core/json.ts'
import { filesOf, Mesh, partsOf, Signer, told } from '../verify/log.ts'

const signer = new Signer()
const mesh = new Mesh().calls(60).head()
mesh.leaves.push(
  mesh.orders.write({
    kind: 'outcomes',
    outcomes: [
      { seq: 3, code: 'completed', status: 200, request_bytes: 0, response_bytes: 9, duration_us: 5, upstream: '' },
    ],
  }),
)
mesh.head()

/** Wherever the scan says yes, JSON.parse and RFC 8785 must say so too, and see the same members. */
function holds(bytes: Uint8Array): boolean {
  if (!scan(bytes)) return false
  const text = fromUtf8(bytes)
  const value = parseJson(text) as { readonly [name: string]: Json }
  expect(value).toBeDefined()
  expect(canonicalJson(value)).toBe(text)
  const peer = value['peer']
  for (const [name, number] of Object.entries(memberNumbers)) {
    const within = name === 'proof' || name === 'serial'
    const isPeer = typeof peer === 'object' && peer !== null && !Array.isArray(peer)
    const of = within ? (isPeer ? (peer as typeof value) : {}) : value
    const from = memberFrom[number]!
    if (!Object.hasOwn(of, name)) expect(from, name).toBe(-1)
    else expect(text.slice(from, memberTo[number]), name).toBe(canonicalJson(of[name]!))
  }
  return true
}

test('every record that a producer writes in plain letters is seen through', () => {
  for (const leaf of mesh.leaves) expect(holds(leaf)).toBe(true)
})

test('a byte changed, added or taken away is never taken for what JSON and RFC 8785 do not take it for', () => {
  const interesting = fc.constantFrom(...utf8('{}[]",:\\0123456789-+.eEtfn \n\u0000\u007fpeer'))
  const change = fc.record({ at: fc.nat(), how: fc.constantFrom('set', 'add', 'cut', 'swap'), byte: interesting })
  let taken = 0
  fc.assert(
    fc.property(fc.constantFrom(...mesh.leaves), fc.array(change, { minLength: 1, maxLength: 3 }), (leaf, changes) => {
      const bytes = [...leaf]
      for (const { at, how, byte } of changes) {
        const i = at % bytes.length
        if (how === 'set') bytes[i] = byte
        else if (how === 'add') bytes.splice(i, 0, byte)
        else if (how === 'cut') bytes.splice(i, 1 + (at % 7))
        else bytes.splice(i, 2, bytes[i + 1] ?? byte, bytes[i]!)
      }
      if (holds(Uint8Array.from(bytes))) taken++
    }),
    { numRuns: 4000 },
  )
  expect(taken).toBeGreaterThan(100)
})

test('any JSON in canonical form is taken or left, never misread; in other forms it is left', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 5 }), (json) => {
      const value = parseJson(json)!
      holds(utf8(json))
      holds(utf8(canonicalJson(value)))
    }),
    { numRuns: 1000 },
  )
  for (const plain of ['{}', '{"a":[]}', '{"a":[{},[1,-2,0]],"b":null}']) expect(scan(utf8(plain))).toBe(true)
  const left = ['', '[]', '{', '{"a":1', '{"a":1}}', '{"a":-0}', '{"a":01}', '{"a":1.5}', '{"a":1e3}', '{"a":"\\n"}']
  left.push(
    '{"b":1,"a":1}',
    '{"a":1,"a":1}',
    '{"a":1,}',
    '{"a" :1}',
    '{"a":[1,]}',
    '{"a":tru}',
    '{"a":1234567890123456}',
  )
  left.push('{"a":"é"}', '{"a":"\u0000"}', '{"a":1]', '{"a":[1}', '{"a":[1:2]}', '{"a"}', '{"a":"x}', ' {}', '{} ')
  for (const text of left) expect(scan(utf8(text)), text).toBe(false)
})

test('a scan of a part of a bundle ends where the record does', () => {
  const bytes = utf8('xx{"a":1}{"b":2}')
  expect(scan(bytes, 2, 9)).toBe(true)
  expect(scan(bytes, 2, 8)).toBe(false)
  expect(scan(bytes, 2, 10)).toBe(false)
})

test('whatever was done to records, the log is found to be the same whether they are parsed or scanned', async () => {
  const names = ['seq', 'prev', 'v', 'td', 'cluster', 'producer', 'epoch', 'timestamp', 'verdict', 'workload']
  names.push('enforced', 'decision_id', 'kind', 'peer', 'code')
  const values = fc.constantFrom<Json>(
    1,
    2,
    17,
    -1,
    '',
    'x',
    'deny',
    'fault',
    'outcomes',
    false,
    null,
    [],
    {},
    '2026-11-23T12:00:00.010000000Z',
  )
  await fc.assert(
    fc.asyncProperty(
      fc.nat(mesh.leaves.length - 1),
      fc.constantFrom(...names),
      values,
      fc.constantFrom('set', 'drop', 'repeat', 'remove'),
      async (index, name, value, how) => {
        const leaves = [...mesh.leaves]
        const record = parseJson(fromUtf8(leaves[index]!)) as { readonly [name: string]: Json }
        const { [name]: _, ...others } = record
        if (how === 'set') leaves[index] = utf8(canonicalJson({ ...others, [name]: value }))
        else if (how === 'drop') leaves[index] = utf8(canonicalJson(others))
        else if (how === 'repeat') leaves.splice(index, 0, leaves[index]!)
        else leaves.splice(index, 1)
        const parts = partsOf([await filesOf(leaves, signer)], signer)
        const scanned = await verifyLog(parts)
        const parsed = await verifyLog({ ...parts, onLeaves: () => undefined })
        expect(told(scanned)).toEqual(told(parsed))
        expect(scanned).toEqual(parsed)
      },
    ),
    { numRuns: 250 },
  )
}, 240_000)
