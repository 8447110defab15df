import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseAnyCheckpoint, parseCheckpoint } from '../../../audit/log/checkpoint.ts'
import {
  formatAddCheckpoint,
  judgeCheckpoint,
  maxRequestBytes,
  parseAddCheckpoint,
} from '../../../audit/log/witness.ts'
import { toBase64, utf8 } from '../../../core/bytes.ts'
import type { Checkpoint } from '../../../core/log.ts'
import { naiveProof, naiveRoot, sha256 } from '../log/naive.ts'

/** What a log asks of a witness, and when the witness agrees, against the definitions of RFC 6962. */

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 })
const line = `\u2014 bank.example/audit ${toBase64(new Uint8Array(68))}\n`
const textOf = (size: number, root: Uint8Array): string => `bank.example/audit/0\n${size}\n${toBase64(root)}\n`

test('a request is read back as it was written', () => {
  const sizes = fc.nat({ max: Number.MAX_SAFE_INTEGER })
  fc.assert(
    fc.property(sizes, sizes, fc.array(hash, { maxLength: 63 }), hash, (old, size, proof, root) => {
      const note = `${textOf(size, root)}\n${line}`
      const read = parseAddCheckpoint(utf8(formatAddCheckpoint({ old, proof, note })))
      expect(read).toEqual({
        old,
        proof,
        note,
        text: textOf(size, root),
        checkpoint: { origin: 'bank.example/audit/0', size, root },
      })
    }),
  )
})

test('64 hashes, a body that is too long, a hash that is none and a note without a signature are no request', () => {
  const note = `${textOf(1, new Uint8Array(32))}\n${line}`
  const root = new Uint8Array(32)
  const of = (proof: readonly Uint8Array[], text = note) =>
    parseAddCheckpoint(utf8(formatAddCheckpoint({ old: 1, proof, note: text })))
  expect(of(new Array(63).fill(root))).toBeDefined()
  expect(of(new Array(64).fill(root))).toBeUndefined()
  expect(of([new Uint8Array(31)])).toBeUndefined()
  expect(of([], textOf(1, root))).toBeUndefined()
  expect(parseAddCheckpoint(new Uint8Array(maxRequestBytes + 1))).toBeUndefined()
  expect(parseAddCheckpoint(utf8(formatAddCheckpoint({ old: 1, proof: [], note })).with(0, 0xff))).toBeUndefined()
})

test('no bytes make it throw', () => {
  const words = fc.constantFrom(
    'old 1\n',
    '\n',
    line,
    textOf(1, new Uint8Array(32)),
    'x',
    `${toBase64(new Uint8Array(32))}\n`,
  )
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void parseAddCheckpoint(bytes)))
  fc.assert(fc.property(fc.array(words, { maxLength: 12 }), (list) => void parseAddCheckpoint(utf8(list.join('')))))
})

test('a checkpoint of others may have extension lines, none of them empty; ours has none', () => {
  const text = textOf(7, new Uint8Array(32))
  expect(parseAnyCheckpoint(`${text}more\nand more\n`)).toEqual(parseCheckpoint(text))
  expect(parseCheckpoint(`${text}more\n`)).toBeUndefined()
  for (const wrong of [`${text}\n`, `${text}more\n\n`, `${text}more`, `\n${text}`, text.slice(0, -1)])
    expect(parseAnyCheckpoint(wrong)).toBeUndefined()
})

const entries = Array.from({ length: 24 }, (_, i) => Uint8Array.of(i))
const tree = (size: number): Checkpoint => ({ origin: 'o', size, root: naiveRoot(entries.slice(0, size)) })
const proofOf = (old: number, size: number): readonly Uint8Array[] =>
  old === 0 || old === size ? [] : naiveProof(old, entries.slice(0, size))

test('from every size to every larger one it agrees to the proof of the definition, and to no other', () => {
  for (let old = 0; old <= 24; old++) {
    for (let size = old; size <= 24; size++) {
      const last = old === 0 ? undefined : tree(old)
      const judge = (proof: readonly Uint8Array[], checkpoint = tree(size)) =>
        judgeCheckpoint({ old, proof, checkpoint }, last, sha256).kind
      expect(judge(proofOf(old, size)), `${old} to ${size}`).toBe('extends')
      expect(judge([...proofOf(old, size), new Uint8Array(32)])).toBe('inconsistent')
      if (old === 0) continue
      expect(judge(proofOf(old, size), { ...tree(size), root: new Uint8Array(32) })).toBe('inconsistent')
      if (size > old) expect(judge(proofOf(old, size).slice(1))).toBe('inconsistent')
    }
  }
})

test('an old size above the new one is senseless, one that is not the last is stale, whatever is proven', () => {
  const judge = (old: number, size: number, last: number) =>
    judgeCheckpoint(
      { old, proof: proofOf(Math.min(old, size), size), checkpoint: tree(size) },
      last === 0 ? undefined : tree(last),
      sha256,
    )
  expect(judge(9, 5, 9)).toEqual({ kind: 'senseless' })
  expect(judge(5, 9, 4)).toEqual({ kind: 'stale', size: 4 })
  expect(judge(5, 9, 0)).toEqual({ kind: 'stale', size: 0 })
  expect(judge(0, 9, 9)).toEqual({ kind: 'stale', size: 9 })
  expect(
    judgeCheckpoint({ old: 0, proof: [], checkpoint: { ...tree(0), root: new Uint8Array(32) } }, undefined, sha256),
  ).toEqual({ kind: 'inconsistent' })
})
