/**
 * A witness (C2SP tlog-witness): remembers the last checkpoint that it cosigned of each log it knows, and cosigns only
 * what extends that. It is of use where its key and folder are in other hands than the log's.
 */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { equalBytes, toHex, utf8 } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { Checkpoint } from '../../core/log.ts'
import type { Sha256 } from '../../core/ports.ts'
import { parseAnyCheckpoint } from '../log/checkpoint.ts'
import {
  type CosignerKey,
  cosign,
  cosignaturesOf,
  cosignerKey,
  formatCosignerKey,
  withLines,
} from '../log/cosignature.ts'
import { type NoteKey, openNote, parseNote, signedOnlyBy } from '../log/note.ts'
import { judgeCheckpoint, parseAddCheckpoint } from '../log/witness.ts'
import { isMissing, makeFolder, syncFolder, writeWhole } from './durable.ts'
import { verifyEd25519 } from './ed25519.ts'
import { openKeyFile } from './keyfile.ts'
import { lockFolder } from './lock.ts'

export interface WitnessSettings {
  /** Folder of the verifier key (`witness.pub`), the last checkpoints (`last/`) and proofs of forks (`forks/`). */
  readonly dir: string
  /** File of the private key, mode 0600; made on the first run. */
  readonly keyFile: string
  /** Name of the key in cosignatures: `witness.example/w1`. */
  readonly name: string
  readonly logs: readonly WitnessedLog[]
  readonly sha256: Sha256
  readonly nowMs: () => number
  readonly onEvent: (event: WitnessEvent) => void
}

export interface WitnessedLog {
  readonly origin: string
  /** Any of these may sign its checkpoints. */
  readonly keys: readonly NoteKey[]
}

export type WitnessEvent =
  /** The log signed two trees of one size. `file` keeps both notes; undefined where there are `maxForks` already. */
  { readonly kind: 'fork'; readonly origin: string; readonly size: number; readonly file: string | undefined }

export type WitnessAnswer =
  | { readonly status: 200; readonly lines: string }
  | { readonly status: 400 | 403 | 404 | 422 }
  | { readonly status: 409; readonly size: number }

export interface Witness {
  /** Verifier key of type 0x04. */
  readonly verifierKey: string
  add(request: Uint8Array): Promise<WitnessAnswer>
  /** The last checkpoint that was cosigned of the log whose origin has this SHA-256, in lower-case hex. */
  latest(originHash: string): string | undefined
  close(): Promise<void>
}

/** Proofs of forks kept; one is enough, and nobody fills the disk with more. */
const maxForks = 64

interface Last {
  readonly checkpoint: Checkpoint
  /** With the log's signature and the cosignature. */
  readonly note: string
  readonly lines: string
  /** Seconds since 1970. */
  readonly time: number
}

/** Throws `fork` where what was cosigned last cannot be read: a witness that forgot is none. */
export async function openWitness(settings: WitnessSettings): Promise<Witness> {
  const { dir, name, sha256 } = settings
  const lastDir = join(dir, 'last')
  await makeFolder(lastDir, 0o700)
  await makeFolder(join(dir, 'forks'), 0o700)
  const lock = lockFolder(dir)
  try {
    const secret = await openKeyFile(settings.keyFile)
    const key = cosignerKey(sha256, name, secret.publicKey)
    if (!key) throw new WritError('config_invalid', `${name} cannot name a key: no spaces, no plus sign`)
    const verifierKey = formatCosignerKey(key)
    await writeWhole(join(dir, 'witness.pub'), `${verifierKey}\n`)
    await syncFolder(dir)

    const hashOf = (origin: string): string => toHex(sha256(utf8(origin)))
    const logs = new Map(settings.logs.map((log) => [log.origin, log]))
    const lasts = new Map<string, Last>()
    for (const { origin } of settings.logs) {
      const last = await readLast(join(lastDir, hashOf(origin)), origin, key)
      if (last) lasts.set(hashOf(origin), last)
    }
    const turns = new Map<string, Promise<unknown>>()
    let forks = 0

    async function addInTurn(log: WitnessedLog, request: NonNullable<ReturnType<typeof parseAddCheckpoint>>) {
      const { checkpoint, text, note } = request
      const id = hashOf(log.origin)
      const last = lasts.get(id)
      if (last && last.checkpoint.size === checkpoint.size && !equalBytes(last.checkpoint.root, checkpoint.root)) {
        await keepFork(log, last.note, signedOnlyBy(note, log.keys), checkpoint.size)
      }
      const judged = judgeCheckpoint(request, last?.checkpoint, sha256)
      switch (judged.kind) {
        case 'senseless':
          return { status: 400 } as const
        case 'stale':
          return { status: 409, size: judged.size } as const
        case 'inconsistent':
          return { status: 422 } as const
        case 'extends': {
          const time = Math.max(Math.floor(settings.nowMs() / 1000), last?.time ?? 1)
          const lines = await cosign(text, key!, time, secret.sign)
          // Who repeats a request makes no work for the disk: within a second the answer is the same, byte for byte.
          if (lines === last?.lines) return { status: 200, lines } as const
          const cosigned = withLines(signedOnlyBy(note, log.keys), [lines])
          await writeWhole(join(lastDir, id), cosigned, 0o600)
          await syncFolder(lastDir) // To last before it is said: a crash may lose the answer, never the memory of it.
          lasts.set(id, { checkpoint, note: cosigned, lines, time })
          return { status: 200, lines } as const
        }
      }
    }

    async function keepFork({ origin }: WitnessedLog, one: string, other: string, size: number): Promise<void> {
      const path = join(dir, 'forks', `${hashOf(origin)}-${toHex(sha256(utf8(other))).slice(0, 16)}`)
      const kept = forks < maxForks
      if (kept) {
        forks++
        await writeWhole(path, `${one}\n${other}`, 0o600)
        await syncFolder(join(dir, 'forks'))
      }
      settings.onEvent({ kind: 'fork', origin, size, file: kept ? path : undefined })
    }

    return {
      verifierKey,
      add: async (bytes) => {
        const request = parseAddCheckpoint(bytes)
        if (!request) return { status: 400 }
        const log = logs.get(request.checkpoint.origin)
        if (!log) return { status: 404 }
        if (!(await openNote(request.note, log.keys, verifyEd25519)).ok) return { status: 403 }
        // One at a time per log: what is compared is what is replaced.
        const done = (turns.get(log.origin) ?? Promise.resolve()).then(() => addInTurn(log, request))
        turns.set(
          log.origin,
          done.catch(() => undefined),
        )
        return done
      },
      latest: (originHash) => lasts.get(originHash)?.note,
      close: async () => {
        await Promise.all(turns.values())
        lock.release()
      },
    }
  } catch (thrown) {
    lock.release()
    throw thrown
  }
}

async function readLast(path: string, origin: string, key: CosignerKey): Promise<Last | undefined> {
  const note = await readFile(path, 'utf8').catch((thrown: unknown) => {
    if (isMissing(thrown)) return undefined
    throw unreadable(path, messageOf(thrown))
  })
  if (note === undefined) return undefined
  const checkpoint = parseAnyCheckpoint(parseNote(note)?.text ?? '')
  const cosigned = await cosignaturesOf(note, [key], verifyEd25519)
  const time = cosigned.ok ? cosigned.cosignatures[0]?.time : undefined
  if (checkpoint?.origin !== origin || time === undefined) {
    throw unreadable(path, 'it is not a checkpoint of that log with a cosignature of this key')
  }
  return { checkpoint, note, lines: `${note.slice(0, -1).split('\n').at(-1)}\n`, time }
}

const unreadable = (path: string, why: string): WritError =>
  new WritError('fork', `the last cosigned checkpoint cannot be read from ${path}: ${why}`, {
    cure: 'restore the file from a copy; a witness that has forgotten must begin anew, with a new key',
  })
