import { createPrivateKey, createPublicKey, sign as signBytes, verify as verifyBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatCheckpoint, parseCheckpoint } from '../../../audit/log/checkpoint.ts'
import { leafHash, nodeHash } from '../../../audit/log/merkle.ts'
import {
  type Ed25519Sign,
  type Ed25519Verify,
  formatVerifierKey,
  noteKey,
  openNote,
  parseNote,
  parseVerifierKey,
  signNote,
} from '../../../audit/log/note.ts'
import { formatReceipt, parseReceipt, verifyReceipt } from '../../../audit/log/receipt.ts'
import { concat, fromBase64, fromHex, toBase64, utf8 } from '../../../core/bytes.ts'
import { sha256 } from './naive.ts'

/** From the documentation of golang.org/x/mod/sumdb/note. */
const peter = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
const seed = fromBase64('AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz')!.slice(1)
const text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
const signature =
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n'

const pkcs8 = (seed: Uint8Array) =>
  createPrivateKey({
    key: Buffer.concat([fromHex('302e020100300506032b657004220420')!, seed]),
    format: 'der',
    type: 'pkcs8',
  })
const signWith =
  (seed: Uint8Array): Ed25519Sign =>
  (message) =>
    signBytes(null, message, pkcs8(seed))
const verify: Ed25519Verify = (publicKey, message, signature) =>
  verifyBytes(
    null,
    message,
    createPublicKey({
      key: Buffer.concat([fromHex('302a300506032b6570032100')!, publicKey]),
      format: 'der',
      type: 'spki',
    }),
    signature,
  )
const keyOf = (name: string, seed: Uint8Array) =>
  noteKey(
    sha256,
    name,
    createPublicKey(pkcs8(seed) as never)
      .export({ format: 'der', type: 'spki' })
      .subarray(-32),
  )!

describe('signed notes', () => {
  test('what Go signs, we sign byte for byte, and open', async () => {
    const key = parseVerifierKey(sha256, peter)!
    expect(formatVerifierKey(key)).toBe(peter)
    const note = await signNote(text, key, signWith(seed))
    expect(note).toBe(`${text}\n${signature}`)
    expect(await openNote(note, [key], verify)).toEqual({ ok: true, text, signedBy: [key] })
  })

  test('another text under the signature does not open', async () => {
    const key = parseVerifierKey(sha256, peter)!
    const other = `${text.replace('answer', 'source')}\n${signature}`
    expect(await openNote(other, [key], verify)).toMatchObject({ ok: false })
  })

  test('a note signed by a stranger beside a known key opens, by the stranger alone it does not', async () => {
    const key = parseVerifierKey(sha256, peter)!
    const stranger = keyOf('stranger.example', new Uint8Array(32).fill(7))
    const lines = (await signNote(text, stranger, signWith(new Uint8Array(32).fill(7)))).slice(text.length + 1)
    expect(await openNote(`${text}\n${lines}${signature}`, [key], verify)).toMatchObject({ ok: true, signedBy: [key] })
    expect(await openNote(`${text}\n${lines}`, [key], verify)).toEqual({ ok: false, detail: 'signed by no known key' })
  })

  test('a wrong signature in the name of a known key spoils a note that another key signed well', async () => {
    const key = parseVerifierKey(sha256, peter)!
    const second = keyOf('second.example', new Uint8Array(32).fill(9))
    const wrong = `— second.example ${toBase64(concat(second.id, new Uint8Array(64)))}\n`
    const note = `${text}\n${signature}${wrong}`
    expect(await openNote(note, [key], verify)).toMatchObject({ ok: true })
    expect(await openNote(note, [key, second], verify)).toMatchObject({ ok: false })
  })

  test('a verifier key whose id does not fit its bytes is refused', () => {
    expect(parseVerifierKey(sha256, peter.replace('c74f20a3', 'c74f20a4'))).toBeUndefined()
    expect(parseVerifierKey(sha256, peter.replace('PeterNeumann', 'Peter'))).toBeUndefined()
    expect(parseVerifierKey(sha256, peter.replace('+A', '+B'))).toBeUndefined()
    expect(noteKey(sha256, 'a name', new Uint8Array(32))).toBeUndefined()
    expect(noteKey(sha256, 'a+name', new Uint8Array(32))).toBeUndefined()
    expect(noteKey(sha256, 'spiffe://bank.example/writ/auditor', new Uint8Array(32))).toBeDefined()
  })

  test('any text is a note or is not; nothing throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string(), (body, line) => {
        parseNote(`${body}\n\n— ${line}\n`)
        parseVerifierKey(sha256, `${body}+${line}`)
      }),
    )
    expect(parseNote(`a\u0000b\n\n${signature}`)).toBeUndefined()
    expect(parseNote(`ab\n\n${signature}`)).toBeDefined()
    expect(parseNote(`ab\n\n${signature.trimEnd()}`)).toBeUndefined()
  })
})

const root = new Uint8Array(32).fill(5)

describe('checkpoints', () => {
  test('three lines, there and back', () => {
    const checkpoint = { origin: 'bank.example/audit/0', size: 109_482, root }
    expect(formatCheckpoint(checkpoint)).toBe(`bank.example/audit/0\n109482\n${toBase64(root)}\n`)
    expect(parseCheckpoint(formatCheckpoint(checkpoint))).toEqual(checkpoint)
  })

  test.each([
    ['a leading zero', `o\n01\n${toBase64(root)}\n`],
    ['a sign', `o\n+1\n${toBase64(root)}\n`],
    ['a size that no number holds', `o\n9007199254740992\n${toBase64(root)}\n`],
    ['no origin', `\n1\n${toBase64(root)}\n`],
    ['a short root', `o\n1\n${toBase64(root.slice(1))}\n`],
    ['spare bits in the root', `o\n1\n${toBase64(root).replace(/.=$/, 'V=')}\n`],
    ['no last line feed', `o\n1\n${toBase64(root)}`],
    ['an extension line', `o\n1\n${toBase64(root)}\nmore\n`],
  ])('%s is refused', (_, wrong) => {
    expect(parseCheckpoint(wrong)).toBeUndefined()
  })

  test('what parses formats to the same bytes', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(), fc.uint8Array({ minLength: 31, maxLength: 33 }), (origin, size, root) => {
        const made = `${origin}\n${size}\n${toBase64(root)}\n`
        const parsed = parseCheckpoint(made)
        if (parsed) expect(formatCheckpoint(parsed)).toBe(made)
        else expect(root.length !== 32 || origin === '' || origin.includes('\n')).toBe(true)
      }),
    )
  })
})

describe('receipts', () => {
  const [a, b] = [leafHash(sha256, utf8('a')), leafHash(sha256, utf8('b'))]
  const key = parseVerifierKey(sha256, peter)!
  const made = async () => ({
    index: 1,
    path: [a],
    note: await signNote(
      formatCheckpoint({ origin: 'bank.example/audit/0', size: 2, root: nodeHash(sha256, a, b) }),
      key,
      signWith(seed),
    ),
  })

  test('a receipt file verifies for its entry and for no other', async () => {
    const file = formatReceipt(await made())
    expect(file.startsWith(`c2sp.org/tlog-proof@v1\nindex 1\n${toBase64(a)}\n\nbank.example/audit/0\n2\n`)).toBe(true)
    const receipt = parseReceipt(file)!
    expect(receipt).toEqual(await made())
    expect(await verifyReceipt(receipt, b, [key], sha256, verify)).toMatchObject({
      ok: true,
      checkpoint: { origin: 'bank.example/audit/0', size: 2 },
    })
    expect(await verifyReceipt(receipt, a, [key], sha256, verify)).toMatchObject({ ok: false })
    expect(await verifyReceipt({ ...receipt, index: 0 }, b, [key], sha256, verify)).toMatchObject({ ok: false })
  })

  test('extra data is passed over, other lines are not', async () => {
    const file = formatReceipt(await made())
    expect(parseReceipt(file.replace('\nindex', '\nextra YWdl\nindex'))).toEqual(await made())
    expect(parseReceipt(file.replace('\nindex', '\nnote YWdl\nindex'))).toBeUndefined()
    expect(parseReceipt(file.replace('index 1', 'index 01'))).toBeUndefined()
    expect(parseReceipt(file.replace('@v1', '@v2'))).toBeUndefined()
  })

  test('any text is a receipt or is not; nothing throws', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (x, y) => {
        parseReceipt(`c2sp.org/tlog-proof@v1\nindex ${x}\n\n${y}`)
        parseReceipt(x)
      }),
    )
  })
})
