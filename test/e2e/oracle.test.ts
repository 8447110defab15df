import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { filesOf, Mesh, Signer, told, verifyLeaves } from '../audit/verify/log.ts'
import { startMs } from '../audit/verify/producer.ts'
import { type Evidence, judge } from './faults/oracle.ts'
import type { Kill } from './faults/victims.ts'

/** The judge of the fault runs is judged: each fault is planted once in a log made by hand. */

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writ-oracle-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

let logs = 0

async function judged(leaves: readonly Uint8Array[], mesh: Mesh, more: Partial<Evidence> = {}) {
  const logDir = join(folder, String(logs++))
  for (const [path, bytes] of await filesOf(leaves, new Signer())) {
    await mkdir(dirname(join(logDir, '0', path)), { recursive: true })
    await writeFile(join(logDir, '0', path), bytes)
  }
  const verification = told(await verifyLeaves(leaves)).join('\n')
  const evidence = { durability: 'strict', syncEveryMs: 50, answers: [], kills: [], seen: [] } as const
  return judge({ ...evidence, logDir, producer: mesh.orders.name, verification, ...more })
}

const killMs = startMs + 60_000
const lost = { changes: 1, names: 0, bytes: 0 }
const kill = (more: Partial<Kill> = {}): Kill => ({
  ...{ victim: 'proxy', atMs: killMs, lost, longestSyncMs: 20, early: false, wiped: false },
  ...more,
})

/** What a caller was told of record `seq`. */
const answer = (mesh: Mesh, seq: number, more: object = {}) => ({
  ...{ path: '/orders/0', status: 200, decision: `${mesh.orders.epoch}-${seq}` },
  ...{ sentMs: killMs - 20, gotMs: killMs - 10, ...more },
})

/** A run that lost what was beyond record 6 of it, and the start that quotes its end. */
function cut() {
  const mesh = new Mesh().calls(5)
  const answers = [answer(mesh, 1), answer(mesh, 7), answer(mesh, 4)]
  return { mesh, leaves: [...mesh.leaves, mesh.orders.restart(), mesh.orders.head(true)], answers }
}

test('a log that holds what callers were told is held to be so', async () => {
  const { mesh, leaves, answers } = cut()
  const { wrong, acknowledged, crashes } = await judged(leaves, mesh, { answers: answers.slice(0, 1), kills: [kill()] })
  expect(wrong).toEqual([])
  expect({ acknowledged, crashes }).toEqual({ acknowledged: { allow: 1, deny: 0 }, crashes: 1 })
})

test.each([
  ['strict', 'after a power cut', {}, {}, 'it was synced'],
  ['bounded', 'after a process kill', { lost: undefined }, {}, 'only the process was killed'],
  ['bounded', 'before the window', {}, { gotMs: killMs - 341 }, '341 ms before the cut, and 340 is the window'],
  ['bounded', 'though denied', {}, { status: 403 }, 'a denial is synced'],
  ['replicated', 'with its spool', { wiped: true }, {}, 'Kafka had it'],
] as const)('in %s an acknowledged decision that is missing %s is wrong', async (durability, _, how, told, why) => {
  const { mesh, leaves, answers } = cut()
  const missing = [{ ...answers[1]!, ...told }]
  const { wrong } = await judged(leaves, mesh, { durability, answers: missing, kills: [kill(how)] })
  expect(wrong).toEqual([expect.stringContaining(why)])
})

test('in bounded an allow within the window may be missing, and in any mode none before later ones of its run', async () => {
  const { mesh, leaves, answers } = cut()
  const within = [{ ...answers[1]!, gotMs: killMs - 340 }]
  const bounded = { durability: 'bounded', kills: [kill()] } as const
  const allowed = await judged(leaves, mesh, { ...bounded, answers: within })
  expect(allowed).toMatchObject({ wrong: [], missing: 1, missingAllowed: 1, oldestLostMs: 340 })

  // The power goes while the next run starts: what was not synced when the process died goes with it, and no more.
  const early = kill({ atMs: killMs + 1000, early: true })
  const process = kill({ lost: undefined })
  const late = { durability: 'bounded', kills: [process, early], answers: within } as const
  expect(await judged(leaves, mesh, late)).toMatchObject({ wrong: [], missingAllowed: 1, oldestLostMs: 340 })
  const up = { ...late, kills: [process, { ...early, early: false }] }
  expect((await judged(leaves, mesh, up)).wrong).toEqual([expect.stringContaining('only the process was killed')])

  const at = mesh.leaves.length - 3
  const { wrong } = await judged(leaves.toSpliced(at, 1), mesh, { ...bounded, answers: answers.slice(2) })
  expect(wrong).toEqual([expect.stringContaining('later ones'), expect.stringMatching(/-4 is missing, and no gap$/)])
})

test('a gap that is named is wrong too: what was sent may not be missing', async () => {
  const mesh = new Mesh().calls(5)
  const leaves = [...mesh.leaves.toSpliced(mesh.leaves.length - 3, 1), mesh.gap('opened', 4, 4), mesh.orders.head(true)]
  const { wrong, gaps } = await judged(leaves, mesh)
  expect(wrong).toEqual([expect.stringMatching(/-4 is missing by a gap entry/)])
  expect(gaps).toEqual({ opened: 1, closed: 0, open: 1 })
})

test('a record that is there twice, and a call with two decisions, are doubles', async () => {
  const mesh = new Mesh().calls(5)
  const twice = await judged([...mesh.leaves, mesh.leaves.at(-2)!, mesh.orders.head(true)], mesh)
  expect(twice.doubles).toBe(1)
  expect(twice.wrong).toEqual([expect.stringContaining('twice'), expect.stringContaining('/orders/4 has 2 decisions')])

  const again = new Mesh().calls(5)
  const leaves = [...again.leaves, again.orders.decision({ path: '/orders/0' }), again.orders.head(true)]
  expect((await judged(leaves, again)).wrong).toEqual(['/orders/0 has 2 decisions'])
})

test('another path or verdict than the caller was told, and an answer by no decision, are wrong', async () => {
  const {
    mesh,
    leaves,
    answers: [told],
  } = cut()
  const answers = [
    { ...told!, path: '/other' },
    { ...told!, status: 403 },
    { ...told!, decision: '' },
  ]
  const { wrong } = await judged(leaves, mesh, { answers })
  expect(wrong).toHaveLength(3)
  expect(wrong.join()).toMatch(/by no decision.*was told it.*is allow, the caller was answered 403/)
})

test('a crash that no start quotes is wrong', async () => {
  const mesh = new Mesh().calls(5)
  const { wrong } = await judged([...mesh.leaves, mesh.orders.restart(false), mesh.orders.head(true)], mesh)
  expect(wrong).toEqual([expect.stringContaining('quote none before'), expect.stringContaining('no start quotes')])
})

test('a checkpoint that the log does not extend is wrong', async () => {
  const { mesh, leaves } = cut()
  const seen = [{ origin: 'bank.example/audit/0', size: 3, root: new Uint8Array(32) }]
  expect((await judged(leaves, mesh, { seen })).wrong).toEqual([expect.stringContaining('a checkpoint of 3')])
})

test('a spool that was deleted must be named by verification', async () => {
  const mesh = new Mesh().calls(5)
  const leaves = [...mesh.leaves, mesh.orders.restart(false)]
  mesh.orders.nowMs += 121_000
  leaves.push(mesh.orders.head(true))
  const kills = [kill({ atMs: startMs + 65, wiped: true })]
  const silent = await judged(leaves, mesh, { kills, verification: '' })
  expect(silent.wrong).toEqual([expect.stringMatching(/^the spool of \w+ was lost, and no finding says so$/)])
  const lines = (await verifyLeaves(leaves)).findings.map(({ level, code, id }) => `${level}  ${code}  ${id}`)
  expect(await judged(leaves, mesh, { kills, verification: lines.join('\n') })).toMatchObject({
    wrong: [],
    spoolsLost: 1,
  })

  const other = await judged(leaves, mesh, { verification: lines.join('\n') })
  expect(other.wrong).toContainEqual(expect.stringMatching(/^no spool was lost there: warning/))
})
