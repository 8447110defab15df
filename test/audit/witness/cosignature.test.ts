import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  cosign,
  cosignaturesOf,
  formatCosignerKey,
  parseCosignerKey,
  withLines,
} from '../../../audit/log/cosignature.ts'
import { formatVerifierKey, noteKey, openNote, parseVerifierKey, signNote } from '../../../audit/log/note.ts'
import { newEd25519Pem, readEd25519Pem, verifyEd25519 } from '../../../audit/node/ed25519.ts'
import { concat, fromBase64, toBase64, utf8 } from '../../../core/bytes.ts'
import { needs, pathOf } from '../../parts/needs.ts'
import { sha256 } from '../log/naive.ts'
import { ask, buildWitnessing, removeWitnessing, testWitness } from './go.ts'

/** Cosignatures: what the standard's example says, what holds for all, and what Go makes of ours. */

const root = toBase64(sha256(new Uint8Array(1)))
const checkpoint = `bank.example/audit/0\n12\n${root}\n`
const log = readEd25519Pem(newEd25519Pem())!
const logKey = noteKey(sha256, 'bank.example/audit', log.publicKey)!
const witness = testWitness()
const other = testWitness('witness.example/w2')
let note: string
beforeAll(async () => {
  note = await signNote(checkpoint, logKey, log.sign)
})
const times = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })
const texts = fc.stringMatching(/^([\x21-\x7e]{1,20}\n){3,5}$/)

describe('a cosignature', () => {
  test('holds for the text, the key and the time it was made with', async () => {
    await fc.assert(
      fc.asyncProperty(texts, times, async (text, time) => {
        const signed = withLines(await signNote(text, logKey, log.sign), [
          await cosign(text, witness.key, time, witness.sign),
        ])
        expect(await cosignaturesOf(signed, [other.key, witness.key], verifyEd25519)).toEqual({
          ok: true,
          cosignatures: [{ key: witness.key, time }],
        })
        expect((await openNote(signed, [logKey], verifyEd25519)).ok).toBe(true) // The log's signature still does.
      }),
    )
  })

  test('of another text, another time or other bytes spoils the note; by a stranger it is passed over', async () => {
    const line = await cosign(checkpoint, witness.key, 1000, witness.sign)
    const of = (given: string) => cosignaturesOf(withLines(note, [given]), [witness.key], verifyEd25519)
    expect(await of(line)).toMatchObject({ ok: true, cosignatures: [{ time: 1000 }] })
    expect(await of(await cosign(`${checkpoint}x\n`, witness.key, 1000, witness.sign))).toMatchObject({ ok: false })
    const [head, encoded] = [line.slice(0, line.lastIndexOf(' ') + 1), line.slice(line.lastIndexOf(' ') + 1, -1)]
    const bytes = fromBase64(encoded)!
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 4, max: bytes.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        async (at, by) => {
          const changed = bytes.map((byte, i) => (i === at ? byte ^ by : byte))
          expect(await of(`${head}${toBase64(changed)}\n`)).toMatchObject({ ok: false })
        },
      ),
    )
    expect(await of(await cosign(checkpoint, other.key, 1000, other.sign))).toEqual({ ok: true, cosignatures: [] })
  })

  test('counts once however often its line stands there, and a line is added once', async () => {
    const line = await cosign(checkpoint, witness.key, 1000, witness.sign)
    const later = await cosign(checkpoint, witness.key, 1001, witness.sign)
    expect(withLines(withLines(note, [line]), [line])).toBe(withLines(note, [line]))
    const twice = await cosignaturesOf(withLines(note, [line, later]), [witness.key], verifyEd25519)
    expect(twice).toEqual({ ok: true, cosignatures: [{ key: witness.key, time: 1000 }] })
  })

  test('has a time, and none without one is made', async () => {
    for (const time of [0, -1, 1.5, Number.NaN, 2 ** 53])
      await expect(cosign(checkpoint, witness.key, time, witness.sign)).rejects.toThrow(RangeError)
    const signature = witness.sign(utf8(`cosignature/v1\ntime 0\n${checkpoint}`))
    const timeless = concat(witness.key.id, new Uint8Array(8), signature)
    const line = `\u2014 ${witness.key.cosigner} ${toBase64(timeless)}\n`
    expect(await cosignaturesOf(withLines(note, [line]), [witness.key], verifyEd25519)).toMatchObject({ ok: false })
  })

  test('is not the plain signature of the same key, nor is that a cosignature', async () => {
    const plain = noteKey(sha256, witness.key.cosigner, witness.key.publicKey)!
    expect(plain.id).not.toEqual(witness.key.id)
    const signed = await signNote(checkpoint, plain, witness.sign)
    expect(await cosignaturesOf(signed, [witness.key], verifyEd25519)).toEqual({ ok: true, cosignatures: [] })
    const line = await cosign(checkpoint, witness.key, 5, witness.sign)
    expect((await openNote(withLines(note, [line]), [plain], verifyEd25519)).ok).toBe(false)
  })
})

test('a verifier key of type 4 is read back, one of type 1 or with another id is not', () => {
  const text = formatCosignerKey(witness.key)
  expect(parseCosignerKey(sha256, text)).toEqual(witness.key)
  expect(parseVerifierKey(sha256, text)).toBeUndefined()
  expect(parseCosignerKey(sha256, formatVerifierKey(logKey))).toBeUndefined()
  expect(parseCosignerKey(sha256, text.replace('w1', 'w2'))).toBeUndefined()
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), (garbage) => {
      expect(parseCosignerKey(sha256, garbage)).toBeUndefined()
    }),
  )
})

test('no bytes that a stranger sends make verification throw', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 300 }), async (garbage) => {
      for (const text of [garbage, `${note}${garbage}\n`, `${note}\u2014 witness.example/w1 ${garbage}\n`])
        expect(typeof (await cosignaturesOf(text, [witness.key], verifyEd25519)).ok).toBe('boolean')
    }),
  )
})

describe('transparency-dev/formats', () => {
  const goTest = needs('go')
  let program: string
  beforeAll(async () => {
    program = await buildWitnessing(pathOf('go'))
  }, 300_000)
  afterAll(() => removeWitnessing(program))

  goTest('accepts our cosignatures, reads their time, and refuses one that was changed', async () => {
    for (const time of [1, 1679315147, 2 ** 33]) {
      const line = await cosign(checkpoint, witness.key, time, witness.sign)
      const signed = withLines(note, [await cosign(checkpoint, other.key, 7, other.sign), line])
      expect(await ask(program, ['verify', formatCosignerKey(witness.key)], signed)).toBe(`${time}\n`)
      expect(await ask(program, ['verify', formatCosignerKey(witness.key)], signed.replace('\n12\n', '\n13\n'))).toBe(
        undefined,
      )
    }
  })

  goTest('makes cosignatures that we accept, over checkpoints with and without extension lines', async () => {
    for (const text of [checkpoint, `${checkpoint}more of it\n`]) {
      const signed = await ask(program, ['cosign', witness.skey], await signNote(text, logKey, log.sign))
      const read = await cosignaturesOf(signed!, [witness.key], verifyEd25519)
      expect(read).toMatchObject({ ok: true, cosignatures: [{ key: witness.key }] })
      expect((await openNote(signed!, [logKey], verifyEd25519)).ok).toBe(true)
      const changed = signed!.replace('\n12\n', '\n13\n')
      expect(await cosignaturesOf(changed, [witness.key], verifyEd25519)).toMatchObject({ ok: false })
    }
  })
})
