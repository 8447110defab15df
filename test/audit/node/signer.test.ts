import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { formatCheckpoint } from '../../../audit/log/checkpoint.ts'
import { consistencyProof, Frontier, leafHash } from '../../../audit/log/merkle.ts'
import { openNote, parseVerifierKey } from '../../../audit/log/note.ts'
import { verifyEd25519 } from '../../../audit/node/ed25519.ts'
import { type FileSigner, openFileSigner } from '../../../audit/node/signer.ts'
import { utf8 } from '../../../core/bytes.ts'
import { sha256 } from '../log/naive.ts'

let dir: string
let signer: FileSigner
const open = () => openFileSigner({ dir, name: 'bank.example/audit', sha256 })
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'writ-signer-'))
  signer = await open()
})
afterEach(async () => {
  await signer.close()
  await rm(dir, { recursive: true })
})

const origin = 'bank.example/audit/0'
const tree = (size: number, salt = '') => {
  const frontier = new Frontier(sha256)
  for (let i = 0; i < size; i++) frontier.append(leafHash(sha256, utf8(`${salt}${i}`)))
  return { origin, size, root: frontier.root() }
}
const hashAt = (level: number, index: number) => {
  const part = new Frontier(sha256)
  for (let i = index * 2 ** level; i < (index + 1) * 2 ** level; i++) part.append(leafHash(sha256, utf8(String(i))))
  return part.root()
}
const proof = (old: number, size: number) => consistencyProof(sha256, old, size, hashAt)

test('the first run makes a key that only its owner reads, and later runs use it', async () => {
  expect((await stat(join(dir, 'log.key'))).mode & 0o777).toBe(0o600)
  expect(await readFile(join(dir, 'log.pub'), 'utf8')).toBe(`${signer.verifierKey}\n`)
  const before = signer.verifierKey
  await signer.close()
  signer = await open()
  expect(signer.verifierKey).toBe(before)
})

test('what it signs opens with the verifier key, and is remembered by the next run', async () => {
  const signed = await signer.sign(tree(5), [])
  const opened = await openNote(signed.note, [parseVerifierKey(sha256, signer.verifierKey)!], verifyEd25519)
  expect(opened).toMatchObject({ ok: true, text: formatCheckpoint(tree(5)) })
  await signer.close()
  signer = await open()
  expect(await signer.last(origin)).toEqual(tree(5))
  expect(await signer.last('bank.example/audit/1')).toBeUndefined()
})

test('a tree that extends the last is signed, another of that size is a fork and changes nothing', async () => {
  await signer.sign(tree(5), [])
  await expect(signer.sign(tree(9, 'other'), await proof(5, 9))).rejects.toMatchObject({ code: 'fork' })
  expect(await signer.last(origin)).toEqual(tree(5))
  await signer.sign(tree(9), await proof(5, 9))
  expect(await signer.last(origin)).toEqual(tree(9))
})

test('no proof, a wrong proof, a smaller tree and a different tree of the same size are forks', async () => {
  await signer.sign(tree(9), [])
  await expect(signer.sign(tree(12), [])).rejects.toMatchObject({ code: 'fork' })
  await expect(signer.sign(tree(12), await proof(8, 12))).rejects.toMatchObject({ code: 'fork' })
  await expect(signer.sign(tree(5), [])).rejects.toMatchObject({ code: 'fork' })
  await expect(signer.sign(tree(9, 'x'), [])).rejects.toMatchObject({ code: 'fork' })
  expect((await signer.sign(tree(9), [])).checkpoint).toEqual(tree(9))
})

test('of two that fork at the same moment one is signed', async () => {
  await signer.sign(tree(2), [])
  const ends = await Promise.allSettled([
    signer.sign(tree(3), await proof(2, 3)),
    signer.sign(tree(4), await proof(2, 4)),
    signer.sign(tree(3, 'x'), await proof(2, 3)),
  ])
  expect(ends.map((end) => end.status)).toEqual(['fulfilled', 'rejected', 'rejected'])
})

test('the state is on disk before the signature leaves', async () => {
  await rm(join(dir, 'last'), { recursive: true })
  await writeFile(join(dir, 'last'), 'no folder')
  await expect(signer.sign(tree(1), [])).rejects.toThrow()
  expect(await signer.last(origin)).toBeUndefined()
})

test('a state file that cannot be read refuses, it does not begin anew', async () => {
  await signer.sign(tree(2), [])
  await signer.close()
  await writeFile(join(dir, 'last', encodeURIComponent(origin)), 'garbage')
  signer = await open()
  await expect(signer.sign(tree(3), await proof(2, 3))).rejects.toMatchObject({ code: 'fork' })
})

test('a key that others can read is refused, and so is a second process on the folder', async () => {
  await expect(open()).rejects.toMatchObject({ code: 'in_use' })
  await signer.close()
  await chmod(join(dir, 'log.key'), 0o644)
  await expect(open()).rejects.toMatchObject({ code: 'config_invalid', cure: expect.stringContaining('chmod 600') })
  await chmod(join(dir, 'log.key'), 0o600)
  signer = await open()
})
