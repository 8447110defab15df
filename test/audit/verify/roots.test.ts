import { beforeAll, expect, test } from 'vitest'
import { type Verification, verifyLog } from '../../../audit/verify/verify.ts'
import { toBase64, utf8 } from '../../../core/bytes.ts'
import type { VerifyHead } from '../../../core/ports.ts'
import { type Files, filesOf, Mesh, partsOf, Signer, told } from './log.ts'
import { Producer, testRoot, verifyTestHead } from './producer.ts'

/**
 * A log is read once, with roots as they become known. Where that would judge otherwise than knowing all of them before,
 * it is read again: handing the leaves on (`onLeaves`) always reads the roots first, and must find the same.
 */

const hour = 3_600_000
const nextRoot = utf8('the next root of bank.example')
const signer = new Signer()

/** Chains of `billing` come from the next root, all others from the first. */
const verifyHead: VerifyHead = (head) => {
  const [root, by] = head.producer.endsWith('/billing') ? [nextRoot, 'next'] : [testRoot, 'first']
  if (!head.roots.some((known) => Buffer.from(known).equals(root))) return { ok: false, detail: `no ${by} root` }
  return verifyTestHead({ ...head, roots: [testRoot] })
}

/** Longer than what is looked at first. */
let long: Mesh
beforeAll(() => {
  long = new Mesh().calls(2000)
})

function announcement(mesh: Mesh, roots: readonly Uint8Array[], atMs: number): readonly Uint8Array[] {
  mesh.control.nowMs = atMs
  const trust_domain = 'bank.example' as never
  return [mesh.control.write({ kind: 'trust', trust_domain, sequence: 2, roots: roots.map(toBase64) })]
}

function billing(atMs: number): readonly Uint8Array[] {
  const producer = new Producer('billing', atMs)
  return [producer.start(), producer.decision(), producer.head()]
}

/** What both ways find, which is the same, and how often each bundle was read when the log was read once. */
async function bothWays(shards: readonly Files[]): Promise<{ result: Verification; readings: number }> {
  let read = 0
  const parts = partsOf(shards, signer)
  const sources = parts.sources.map((source) => ({
    ...source,
    read: (path: string) => {
      if (/^tile\/entries\/0(0[89]|10)/.test(path)) read++
      return source.read(path)
    },
  }))
  const result = await verifyLog({ ...parts, sources, verifyHead })
  const readings = read
  const known = await verifyLog({ ...parts, sources, verifyHead, onLeaves: () => undefined })
  expect(result).toEqual(known)
  return { result, readings }
}

const bundlesBehind = (files: Files): number =>
  [...files.keys()].filter((path) => /entries\/0(0[89]|10)/.test(path)).length

test('a log whose roots become known in time is read once; where they were announced after their use, twice', async () => {
  const from = long.orders.nowMs
  const control = announcement(long, [testRoot, nextRoot], from)
  const proof = long.control.head()
  const inTime = await filesOf([...long.leaves, ...control, proof, ...billing(from + 100)], signer)
  const once = await bothWays([inTime])
  expect([once.result.ok, once.result.trust.roots[0]!.sha256.length]).toEqual([true, 2])
  expect(once.readings).toBe(bundlesBehind(inTime))
  const late = await filesOf([...long.leaves, ...billing(from + 100), ...control, proof], signer)
  const twice = await bothWays([late])
  expect(twice.result.ok).toBe(true)
  expect(twice.readings).toBe(3 * bundlesBehind(late)) // In vain, for the roots, and for all.
})

test('roots that were withdrawn before a head, and said to be so only after it, do not vouch for it', async () => {
  const mesh = new Mesh().calls(2000)
  const from = mesh.orders.nowMs
  const control = announcement(mesh, [nextRoot], from)
  const proof = mesh.control.head()
  mesh.orders.nowMs = from + 2 * hour
  const late = [mesh.orders.decision(), mesh.orders.head()]
  const { result } = await bothWays([await filesOf([...mesh.leaves, ...late, ...control, proof], signer)])
  expect(told(result)).toContain(`broken head_invalid 0/${mesh.leaves.length + 1} -${mesh.orders.seq - 1}`)
})

test('in several shards a root that is announced behind what is looked at first is known to all of them', async () => {
  const mesh = new Mesh().calls(2000)
  const control = announcement(mesh, [testRoot, nextRoot], mesh.orders.nowMs)
  const second = await filesOf([...mesh.leaves, ...control, mesh.control.head()], signer, 1)
  const first = await filesOf(billing(mesh.orders.nowMs + 100), signer, 0)
  expect((await bothWays([first, second])).result.ok).toBe(true)
  const other = await filesOf([...new Mesh().calls(3).head().leaves], signer, 1)
  expect((await bothWays([first, other])).result.ok).toBe(false)
})
