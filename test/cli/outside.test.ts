import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, vi } from 'vitest'
import { parseCheckpoint } from '../../audit/log/checkpoint.ts'
import { parseNote } from '../../audit/log/note.ts'
import { needs } from '../parts/needs.ts'
import { type Authority, openAuthority, opensslVerifies } from '../parts/openssl-tsa.ts'
import { repository, type Started, start, temporaryForAll, writ } from './writ.ts'

/** A mesh whose log is signed by a process of its own, cosigned by another, and stamped with a time; each is killed once. */

const test = needs('openssl')
const folder = temporaryForAll()
const state = join(folder, 'state')
const meshFile = join(folder, 'mesh.yaml')
const socket = join(folder, 'signer', 'signer.sock')
let authority: Authority
beforeAll(async () => {
  authority = await openAuthority()
})
afterAll(() => authority.close())

const signer = (): Started => start(['signer', '--trust-domain', 'bank.example', '--state', join(folder, 'signer')])
const witness = (listen: string): Started => {
  const words = ['--name', 'witness.example/w1', '--logs', join(folder, 'logs.yaml'), '--listen', listen]
  return start(['witness', '--state', join(folder, 'witness'), ...words])
}
const up = (): Started =>
  start(['up', '-f', meshFile, '--state', state, '--policies', join(repository, 'policies'), '--signer', socket])
const file = (name: string): Promise<string> => readFile(join(state, 'log', '0', name), 'utf8')
const sizeOf = async (name: string): Promise<number> =>
  parseCheckpoint(parseNote(await file(name).catch(() => ''))?.text ?? '')?.size ?? 0
const grownPast = (name: string, size: number): Promise<void> =>
  vi.waitFor(async () => expect(await sizeOf(name)).toBeGreaterThan(size), { timeout: 60_000, interval: 100 })
const killed = async (process: Started): Promise<void> => {
  process.signal('SIGKILL')
  expect((await process.ended).code).toBe('SIGKILL')
}

test('signer, witness and mesh are killed in turn, and the log is whole, witnessed and stamped', async () => {
  let signing = signer()
  const [, key] = await signing.said(/^log key {4}(\S+)$/m)
  await writeFile(join(folder, 'logs.yaml'), `logs:\n  - { origin: bank.example/audit/0, key: "${key}" }\n`)
  let witnessing = witness('127.0.0.1:0')
  const [, url] = await witnessing.said(/^witness {4}(\S+)$/m)
  const [, witnessKey] = await witnessing.said(/^key {8}(\S+)$/m)
  await writeFile(
    meshFile,
    `apiVersion: writ.dev/v1
kind: Mesh
metadata: { name: mine }
spec:
  trustDomain: bank.example
  audit:
    headEveryMs: 200
    idleHeadEveryMs: 200
    witnesses: [{ url: "${url}", key: "${witnessKey}" }]
    timestamps: { url: "${authority.url}", every: 1m }
`,
  )
  let mesh = up()
  expect((await mesh.said(/^log key {4}(\S+)$/m))[1]).toBe(key)
  await grownPast('checkpoint.witnessed', 0)

  await killed(signing)
  const signed = await sizeOf('checkpoint')
  signing = signer()
  await signing.said(/^signer /m)
  await grownPast('checkpoint.witnessed', signed)

  await killed(witnessing)
  const seen = await sizeOf('checkpoint')
  await grownPast('checkpoint', seen) // The log goes on without its witness.
  witnessing = witness(new URL(url!).host)
  await witnessing.said(/^witness /m)
  await grownPast('checkpoint.witnessed', seen)

  await killed(mesh)
  const ended = await sizeOf('checkpoint')
  mesh = up()
  await grownPast('checkpoint.witnessed', ended)
  mesh.signal('SIGTERM')
  expect((await mesh.ended).code).toBe(0)
  for (const process of [signing, witnessing]) {
    process.signal('SIGTERM')
    expect((await process.ended).code).toBe(0)
  }

  const verified = await writ(
    'audit',
    'verify',
    '--state',
    state,
    '--database',
    '--policy',
    join(state, 'log/witness.policy'),
  )
  expect(verified).toMatchObject({ code: 0, out: expect.stringMatching(/^verified\n/) })
  expect(verified.out).toMatch(/witnessed: bank\.example\/audit\/0 up to \d+ leaves, by witness\.example\/w1 at 20/)
  expect(verified.out).toMatch(/[1-9]\d* time stamps? of checkpoints of this log/)
  const stamp = join(state, 'log/0/timestamps/000001')
  expect(await opensslVerifies(authority.ca, `${stamp}.note`, `${stamp}.tsr`)).toBe(true)
}, 240_000)

test('a signer that is away, or signs for another mesh, stops the start with its cure', async () => {
  await writeFile(
    meshFile,
    'apiVersion: writ.dev/v1\nkind: Mesh\nmetadata: { name: mine }\nspec: { trustDomain: bank.example }\n',
  )
  const away = await up().ended
  expect(away).toMatchObject({ code: 3, err: expect.stringContaining('writ signer') })
})
