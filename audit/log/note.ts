/** Signed notes (C2SP signed-note) with Ed25519: a text, an empty line, and lines that say who signed it. */

import { concat, equalBytes, fromBase64, fromHex, toBase64, toHex, utf8 } from '../../core/bytes.ts'
import type { Sha256 } from '../../core/ports.ts'

type Later<T> = T | Promise<T>

/** Signature of 64 bytes (RFC 8032) over the message. */
export type Ed25519Sign = (message: Uint8Array) => Later<Uint8Array>

/** Never throws: a key or signature that cannot be read does not verify. */
export type Ed25519Verify = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => Later<boolean>

export interface NoteKey {
  readonly name: string
  /** First four bytes of SHA-256(name, "\n", type, public key). */
  readonly id: Uint8Array
  /** 32 bytes. */
  readonly publicKey: Uint8Array
}

export interface NoteSignature {
  readonly name: string
  readonly keyId: Uint8Array
  readonly signature: Uint8Array
}

/** Type byte of Ed25519 keys. */
const ed25519 = 0x01

/** Notes and signature lines beyond these are refused unread: a checkpoint needs 200 bytes and a few witnesses. */
const maxNoteLength = 64 * 1024
const maxSignatures = 64

/** Key names have no white space and no plus sign. */
const nameShape = /^[^\s+]{1,1024}$/u

export function noteKey(sha256: Sha256, name: string, publicKey: Uint8Array): NoteKey | undefined {
  if (!nameShape.test(name) || publicKey.length !== 32) return undefined
  return { name, publicKey, id: keyIdOf(sha256, name, ed25519, publicKey) }
}

/** The recommended id of a key of any type; it tells keys apart and proves nothing. */
export const keyIdOf = (sha256: Sha256, name: string, type: number, material: Uint8Array): Uint8Array =>
  sha256(concat(utf8(`${name}\n`), Uint8Array.of(type), material)).slice(0, 4)

/** `<name>+<id in hex>+<base64 of type and public key>`. */
export const formatVerifierKey = ({ name, id, publicKey }: NoteKey): string =>
  formatAnyKey({ name, id, type: ed25519, material: publicKey })

/** An Ed25519 verifier key whose id fits its name and bytes; anything else is undefined. */
export function parseVerifierKey(sha256: Sha256, text: string): NoteKey | undefined {
  const { name, type, material } = parseAnyKey(sha256, text) ?? {}
  return name !== undefined && type === ed25519 && material ? noteKey(sha256, name, material) : undefined
}

/** A verifier key of any signature type. What its material means is the type's own standard. */
export interface AnyKey {
  readonly name: string
  readonly id: Uint8Array
  readonly type: number
  readonly material: Uint8Array
}

export const formatAnyKey = ({ name, id, type, material }: AnyKey): string =>
  `${name}+${toHex(id)}+${toBase64(concat(Uint8Array.of(type), material))}`

/** The longest is that of ML-DSA-44. Undefined where the id is not the recommended one. */
export function parseAnyKey(sha256: Sha256, text: string): AnyKey | undefined {
  const match = /^([^\s+]{1,1024})\+([0-9a-f]{8})\+([A-Za-z0-9+/=]{1,2048})$/u.exec(text)
  const id = match && fromHex(match[2]!)
  const typed = match && fromBase64(match[3]!)
  if (!match || !id || !typed || typed.length < 2) return undefined
  const key = { name: match[1]!, id, type: typed[0]!, material: typed.slice(1) }
  return equalBytes(keyIdOf(sha256, key.name, key.type, key.material), id) ? key : undefined
}

/** The note of `text`, which ends with a line feed. */
export async function signNote(text: string, key: NoteKey, sign: Ed25519Sign): Promise<string> {
  if (!isNoteText(text)) throw new RangeError('a note is lines of text without control characters')
  const signature = await sign(utf8(text))
  return `${text}\n\u2014 ${key.name} ${toBase64(concat(key.id, signature))}\n`
}

/** The parts of a note, nothing verified, or undefined where it is not one. */
export function parseNote(
  note: string,
): { readonly text: string; readonly signatures: readonly NoteSignature[] } | undefined {
  if (note.length > maxNoteLength || !note.endsWith('\n')) return undefined
  const cut = note.lastIndexOf('\n\n')
  const text = note.slice(0, cut + 1)
  if (cut < 0 || !isNoteText(text)) return undefined
  const lines = note.slice(cut + 2, -1).split('\n')
  if (lines.length > maxSignatures) return undefined
  const signatures: NoteSignature[] = []
  for (const line of lines) {
    const match = /^\u2014 ([^\s+]{1,1024}) ([A-Za-z0-9+/=]+)$/u.exec(line)
    const bytes = match && fromBase64(match[2]!)
    if (!match || !bytes || bytes.length < 5) return undefined
    signatures.push({ name: match[1]!, keyId: bytes.slice(0, 4), signature: bytes.slice(4) })
  }
  return { text, signatures }
}

type KeyName = Pick<NoteKey, 'name' | 'id'>

/** The note with no other signature lines than those in the name of `keys`. */
export const signedOnlyBy = (note: string, keys: readonly KeyName[]): string => keepLines(note, keys, true)

/** The note without the signature lines in the name of `keys`. */
export const notSignedBy = (note: string, keys: readonly KeyName[]): string => keepLines(note, keys, false)

function keepLines(note: string, keys: readonly KeyName[], named: boolean): string {
  const cut = note.lastIndexOf('\n\n') + 2
  const { signatures } = parseNote(note) ?? { signatures: [] }
  const kept = note
    .slice(cut, -1)
    .split('\n')
    .filter((_, i) => {
      const line = signatures[i]
      return line && keys.some(({ name, id }) => line.name === name && equalBytes(line.keyId, id)) === named
    })
  return `${note.slice(0, cut)}${kept.map((line) => `${line}\n`).join('')}`
}

export type OpenedNote =
  | { readonly ok: true; readonly text: string; readonly signedBy: readonly NoteKey[] }
  | { readonly ok: false; readonly detail: string }

/**
 * Opens a note that at least one of `keys` signed. Signatures by unknown keys are passed over, as the standard wants;
 * a wrong signature in the name of a known key spoils the note.
 */
export async function openNote(note: string, keys: readonly NoteKey[], verify: Ed25519Verify): Promise<OpenedNote> {
  const parsed = parseNote(note)
  if (!parsed) return { ok: false, detail: 'not a signed note' }
  const message = utf8(parsed.text)
  const signedBy: NoteKey[] = []
  for (const { name, keyId, signature } of parsed.signatures) {
    const key = keys.find((known) => known.name === name && equalBytes(known.id, keyId))
    if (!key || signedBy.includes(key)) continue
    if (!(await verify(key.publicKey, message, signature))) {
      return { ok: false, detail: `the signature of ${name} does not hold` }
    }
    signedBy.push(key)
  }
  return signedBy.length > 0
    ? { ok: true, text: parsed.text, signedBy }
    : { ok: false, detail: 'signed by no known key' }
}

const isNoteText = (text: string): boolean =>
  text.endsWith('\n') && !/[\u0000-\u0009\u000b-\u001f\u007f]/.test(text) && text.isWellFormed()
