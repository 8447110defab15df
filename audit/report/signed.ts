/** A report that is handed over: whether its files are as they were signed, and which entry of a log has its hash. */

import { equalBytes, fromUtf8, toHex, utf8 } from '../../core/bytes.ts'
import type { Sha256 } from '../../core/ports.ts'
import { type AuditEvent, decisionId, parseEvent, type ReportBody } from '../../core/record.ts'
import { leafHash } from '../log/merkle.ts'
import { type Ed25519Verify, type NoteKey, openNote } from '../log/note.ts'
import { receiptInLog } from '../log/prove.ts'
import { verifyReceipt } from '../log/receipt.ts'
import { findBundle, tileWidth } from '../log/tiles.ts'
import { evidenceSums, manifestTitle } from './formats/files.ts'
import type { PinnedSource } from './pinned.ts'

export interface SignedFile {
  readonly path: string
  readonly fault: '' | 'it is not there' | 'it is not what was signed'
}

export type CheckedReport =
  | { readonly ok: true; readonly files: readonly SignedFile[] }
  | { readonly ok: false; readonly detail: string }

/** `read`: a file of the report's folder. Files that the note does not name are not looked at. */
export async function checkSigned(
  note: string,
  key: NoteKey,
  read: (path: string) => Promise<Uint8Array | undefined>,
  { sha256, verifyNote }: { readonly sha256: Sha256; readonly verifyNote: Ed25519Verify },
): Promise<CheckedReport> {
  const opened = await openNote(note, [key], verifyNote)
  if (!opened.ok) return opened
  const [title, ...lines] = opened.text.trimEnd().split('\n')
  const files: SignedFile[] = []
  const check = async (line: string, below: string): Promise<boolean> => {
    const [, sum, path] = /^([0-9a-f]{64}) {2}(?!\/)((?:(?!\.\.)[^\n])+)$/.exec(line) ?? []
    if (sum === undefined || path === undefined) return false
    const bytes = await read(below + path)
    const fault = !bytes ? 'it is not there' : toHex(sha256(bytes)) === sum ? '' : 'it is not what was signed'
    files.push({ path: below + path, fault })
    if (below + path !== evidenceSums || !bytes || fault !== '') return true
    for (const more of linesIn(bytes)) if (!(await check(more, 'evidence/'))) return false
    return true
  }
  if (title !== manifestTitle) return { ok: false, detail: 'it is not the note of a report' }
  for (const line of lines) {
    if (!(await check(line, ''))) return { ok: false, detail: `${JSON.stringify(line)} is no line of a report's note` }
  }
  return { ok: true, files }
}

/** What is no text has a line that names no file. */
function linesIn(bytes: Uint8Array): readonly string[] {
  try {
    return fromUtf8(bytes).trimEnd().split('\n')
  } catch {
    return ['']
  }
}

export interface ReportEntry {
  readonly id: string
  readonly shard: number
  readonly index: number
  readonly event: AuditEvent<ReportBody>
}

export interface EntryParts {
  readonly sources: readonly PinnedSource[]
  /** Leaves of each shard that the report was made at: its entry comes after them. */
  readonly sizes: ReadonlyMap<number, number>
  readonly keys: readonly NoteKey[]
  readonly sha256: Sha256
  readonly verifyNote: Ed25519Verify
}

/** The first entry that has the hash of `report.json`, its proof up to a signed checkpoint checked; undefined where there is none. */
export async function entryOfReport(digest: string, parts: EntryParts): Promise<ReportEntry | undefined> {
  const wanted = utf8(digest)
  for (const { shard, read, checkpoint } of parts.sources) {
    const from = parts.sizes.get(shard) ?? 0
    for (let index = from; checkpoint && index < checkpoint.size; ) {
      const bundle = Math.floor(index / tileWidth)
      const leaves = (await findBundle(read, bundle, checkpoint.size)) ?? []
      for (; index < Math.min((bundle + 1) * tileWidth, checkpoint.size); index++) {
        const leaf = leaves[index % tileWidth]
        const event = leaf && holds(leaf, wanted) ? reportIn(leaf, digest) : undefined
        if (!leaf || !event) continue
        const receipt = await receiptInLog(read, index, parts.sha256)
        const hash = leafHash(parts.sha256, leaf)
        const proven = receipt && (await verifyReceipt(receipt, hash, parts.keys, parts.sha256, parts.verifyNote))
        if (proven?.ok) return { id: decisionId(event), shard, index, event }
      }
    }
  }
  return undefined
}

function reportIn(leaf: Uint8Array, digest: string): AuditEvent<ReportBody> | undefined {
  const read = parseEvent(leaf)
  if (!('event' in read) || read.event.kind !== 'report') return undefined
  return read.event.sha256 === digest ? read.event : undefined
}

/** Of a long log hardly any leaf is parsed. */
function holds(leaf: Uint8Array, wanted: Uint8Array): boolean {
  for (let at = leaf.indexOf(wanted[0]!); at >= 0; at = leaf.indexOf(wanted[0]!, at + 1)) {
    if (equalBytes(leaf.subarray(at, at + wanted.length), wanted)) return true
  }
  return false
}
