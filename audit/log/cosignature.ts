/**
 * Cosignatures (C2SP tlog-cosignature, Ed25519): a witness says that at a time a checkpoint was the largest that it saw
 * of its log, and extended all that it saw before. They are lines of the checkpoint's note.
 */

import { concat, equalBytes, toBase64, utf8 } from '../../core/bytes.ts'
import type { Sha256 } from '../../core/ports.ts'
import {
  type Ed25519Sign,
  type Ed25519Verify,
  formatAnyKey,
  keyIdOf,
  type NoteSignature,
  noteKey,
  parseAnyKey,
  parseNote,
} from './note.ts'

/** Type byte of keys that cosign with a time. */
const cosignatureV1 = 0x04

/** Not a `NoteKey`: the same bytes under the same name make another id, and what it signs is not the note's text. */
export interface CosignerKey {
  readonly cosigner: string
  /** First four bytes of SHA-256(cosigner, "\n", 0x04, public key). */
  readonly id: Uint8Array
  /** 32 bytes. */
  readonly publicKey: Uint8Array
}

export interface Cosignature {
  readonly key: CosignerKey
  /** Seconds since 1970. */
  readonly time: number
}

export function cosignerKey(sha256: Sha256, cosigner: string, publicKey: Uint8Array): CosignerKey | undefined {
  if (!noteKey(sha256, cosigner, publicKey)) return undefined
  return { cosigner, publicKey, id: keyIdOf(sha256, cosigner, cosignatureV1, publicKey) }
}

export const formatCosignerKey = ({ cosigner, id, publicKey }: CosignerKey): string =>
  formatAnyKey({ name: cosigner, id, type: cosignatureV1, material: publicKey })

export function parseCosignerKey(sha256: Sha256, text: string): CosignerKey | undefined {
  const { name, type, material } = parseAnyKey(sha256, text) ?? {}
  return name !== undefined && type === cosignatureV1 && material ? cosignerKey(sha256, name, material) : undefined
}

const messageOf = (text: string, time: bigint): Uint8Array => utf8(`cosignature/v1\ntime ${time}\n${text}`)

/** The signature line over a note's text. */
export async function cosign(text: string, key: CosignerKey, time: number, sign: Ed25519Sign): Promise<string> {
  if (!Number.isSafeInteger(time) || time < 1) throw new RangeError('a cosignature has a time')
  const stamp = new Uint8Array(8)
  new DataView(stamp.buffer).setBigUint64(0, BigInt(time))
  const signature = await sign(messageOf(text, BigInt(time)))
  return `\u2014 ${key.cosigner} ${toBase64(concat(key.id, stamp, signature))}\n`
}

export type Cosigned =
  | { readonly ok: true; readonly cosignatures: readonly Cosignature[] }
  /** No note, or a known key's signature does not hold: then nothing of the note is to be believed. */
  | { readonly ok: false; readonly detail: string }

/** Which of `keys` cosigned the note. Lines by others, the log's own among them, are passed over. */
export async function cosignaturesOf(
  note: string,
  keys: readonly CosignerKey[],
  verify: Ed25519Verify,
): Promise<Cosigned> {
  const parsed = parseNote(note)
  if (!parsed) return { ok: false, detail: 'not a signed note' }
  const cosignatures: Cosignature[] = []
  for (const line of parsed.signatures) {
    const key = keys.find(({ cosigner, id }) => cosigner === line.name && equalBytes(id, line.keyId))
    if (!key || cosignatures.some((one) => one.key === key)) continue
    const time = await timeOf(parsed.text, line, key, verify)
    if (time === undefined) return { ok: false, detail: `the cosignature of ${line.name} does not hold` }
    cosignatures.push({ key, time })
  }
  return { ok: true, cosignatures }
}

async function timeOf(
  text: string,
  { signature }: NoteSignature,
  key: CosignerKey,
  verify: Ed25519Verify,
): Promise<number | undefined> {
  if (signature.length !== 72) return undefined
  const time = new DataView(signature.buffer, signature.byteOffset, 8).getBigUint64(0)
  // Without a time it says less than we need, and none of ours ends in the year 285,428,751.
  if (time < 1n || time > BigInt(Number.MAX_SAFE_INTEGER)) return undefined
  return (await verify(key.publicKey, messageOf(text, time), signature.slice(8))) ? Number(time) : undefined
}

/** The note with these signature lines after its own, those that it has already left out. */
export function withLines(note: string, lines: readonly string[]): string {
  const known = new Set(note.slice(note.lastIndexOf('\n\n') + 2).split('\n'))
  let whole = note
  for (const line of lines) {
    const text = line.replace(/\n$/, '')
    if (known.has(text)) continue
    known.add(text)
    whole += `${text}\n`
  }
  return whole
}
