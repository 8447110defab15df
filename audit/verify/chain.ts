/**
 * The logs of one partition, where a loss made a new one follow the old: what was left of the old is signed as kept, and
 * the new one quotes both what was signed and what was left. A loss that nobody admits is broken, one that is, a warning.
 */

import { equalBytes, fromBase64, toBase64, toHex } from '../../core/bytes.ts'
import { isObject } from '../../core/json.ts'
import { generationOf, isOriginOf, keptOriginOf, logStride } from '../../core/log.ts'
import { type LogOpenedBody, parseEvent } from '../../core/record.ts'
import { parseCheckpoint } from '../log/checkpoint.ts'
import { type Ed25519Verify, type NoteKey, openNote } from '../log/note.ts'
import { keptFile } from '../log/prove.ts'
import { decodeBundle, tilePath, widthOf } from '../log/tiles.ts'
import { type Finding, type Findings, plural } from './finding.ts'
import { isAuditor } from './records.ts'
import type { OpenedCheckpoint, TreeSource } from './tree.ts'

export interface ChainedLog {
  readonly source: TreeSource
  readonly checkpoint: OpenedCheckpoint
}

/** What the log that followed says of this one. */
export interface Ended {
  /** Over what is left of it. */
  readonly kept: OpenedCheckpoint
  /** What was signed of it; undefined where the signer had forgotten. */
  readonly signed: { readonly size: number; readonly root: Uint8Array } | undefined
}

/** By shard, of each log that another one follows. To be asked with all logs that are there. */
export async function readChain(
  all: readonly ChainedLog[],
  keys: readonly NoteKey[],
  verify: Ed25519Verify,
  findings: Findings,
): Promise<ReadonlyMap<number, Ended>> {
  const ended = new Map<number, Ended>()
  const byShard = new Map(all.map((one) => [one.source.shard, one]))
  for (const { source, checkpoint } of all) {
    const { shard } = source
    const add = (level: Finding['level'], code: 'log_unchained' | 'log_lost', what: string): void =>
      findings.add({ level, code, shard, what })
    if (generationOf(shard) > 1) {
      const said = await openedBy(source, checkpoint.size)
      if (!said) add('broken', 'log_unchained', 'it does not say which log it follows')
      else if (!isOriginOf(said.previous.origin, shard - logStride)) {
        add('broken', 'log_unchained', `it says that it follows ${said.previous.origin}`)
      } else if (!byShard.has(shard - logStride)) {
        add('warning', 'log_lost', `it follows ${said.previous.origin}, which is not here; ${lossText(said)}`)
      }
    }
    const kept = await readKept(source, checkpoint, keys, verify)
    const next = byShard.get(shard + logStride)
    if (!kept && !next) continue
    if (!kept || 'wrong' in kept) {
      add('broken', 'log_unchained', `another log follows it: ${kept?.wrong ?? `${keptFile} is not there`}`)
      continue
    }
    if (!next) {
      add('broken', 'log_unchained', 'it was ended, and the log that follows it is not here')
      continue
    }
    const said = await openedBy(next.source, next.checkpoint.size)
    const fits = said && said.previous.kept.size === kept.size && said.previous.kept.root === rootText(kept)
    if (!fits) {
      if (said)
        add('broken', 'log_unchained', `the log that follows quotes ${said.previous.kept.size} kept entries of it`)
      continue
    }
    const signed = signedOf(said)
    ended.set(shard, { kept, signed })
    const lost = (signed?.size ?? checkpoint.size) - kept.size
    add(lost > 0 || !signed ? 'warning' : 'note', 'log_lost', lossText(said))
  }
  return ended
}

/** Why an older checkpoint of a log that was ended is none of it; undefined where the loss that was admitted covers it. */
export function endedFault({ kept, signed }: Ended, old: OpenedCheckpoint): string | undefined {
  if (old.size <= kept.size) return 'it does not fit what is kept'
  if (!signed) return undefined
  if (old.size > signed.size) {
    return `a checkpoint over ${old.size} leaves was signed, and the log that followed admits ${signed.size}`
  }
  if (old.size < signed.size || equalBytes(old.root, signed.root)) return undefined
  return `the checkpoint over ${old.size} leaves signs ${toHex(old.root)}; the log that followed quotes ${toHex(signed.root)}`
}

async function readKept(
  source: TreeSource,
  { origin }: OpenedCheckpoint,
  keys: readonly NoteKey[],
  verify: Ed25519Verify,
): Promise<OpenedCheckpoint | { readonly wrong: string } | undefined> {
  const bytes = await source.read(keptFile)
  if (!bytes) return undefined
  const note = new TextDecoder().decode(bytes)
  const opened = await openNote(note, keys, verify)
  if (!opened.ok) return { wrong: `${keptFile}: ${opened.detail}` }
  const checkpoint = parseCheckpoint(opened.text)
  if (checkpoint?.origin !== keptOriginOf(origin)) return { wrong: `${keptFile} is not of ${keptOriginOf(origin)}` }
  return { ...checkpoint, note }
}

/** The entry that a log begins with after its start. That it is in the tree, the pass over the tree shows. */
async function openedBy(source: TreeSource, size: number): Promise<LogOpenedBody | undefined> {
  const path = tilePath('entries', 0, widthOf(0, 0, size))
  const bytes = (await source.read(path)) ?? (await source.read(tilePath('entries', 0)))
  const entry = bytes && decodeBundle(bytes)?.[1]
  const read = entry && parseEvent(entry)
  if (!read || 'wrong' in read || !isAuditor(read.event.producer)) return undefined
  const body = read.event as unknown as LogOpenedBody
  if (body.kind !== 'log' || body.action !== 'opened' || !isObject(body.previous)) return undefined
  const { origin, kept } = body.previous as { readonly origin: unknown; readonly kept: unknown }
  return typeof origin === 'string' && isObject(kept) ? body : undefined
}

const rootText = ({ root }: OpenedCheckpoint): string => toBase64(root)

function signedOf({ previous }: LogOpenedBody): Ended['signed'] {
  const signed: unknown = previous.signed
  if (!isObject(signed) || typeof signed['size'] !== 'number' || typeof signed['root'] !== 'string') return undefined
  const root = fromBase64(signed['root'])
  return root && { size: signed['size'], root }
}

function lossText(said: LogOpenedBody): string {
  const { previous, by, reason } = said
  const signed = signedOf(said)
  const kept = plural(previous.kept.size, 'leaf', 'leaves')
  const lost = signed ? signed.size - previous.kept.size : undefined
  const what =
    lost === undefined
      ? `${kept} of ${previous.origin} are kept; how many were signed the signer had forgotten`
      : lost > 0
        ? `of ${signed!.size} leaves that were signed of ${previous.origin} ${previous.kept.size} are kept: ${lost} are lost`
        : `${kept} of ${previous.origin} are kept, and not as they were signed`
  return `${what}; a new log was opened by ${by}: ${reason}`
}
