/**
 * Signs checkpoints with a key and a memory of its own, both outside the database: what it signed once, it never
 * contradicts, whoever asks and whatever became of the store.
 */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf, WritError } from '../../core/fault.ts'
import { type Checkpoint, successorOf } from '../../core/log.ts'
import type { CheckpointSigner, Sha256 } from '../../core/ports.ts'
import { formatCheckpoint, parseCheckpoint } from '../log/checkpoint.ts'
import { verifyConsistency } from '../log/merkle.ts'
import { formatVerifierKey, noteKey, signNote } from '../log/note.ts'
import { isMissing, makeFolder, syncFolder, writeWhole } from './durable.ts'
import { openKeyFile } from './keyfile.ts'
import { lockFolder } from './lock.ts'

export interface SignerSettings {
  /** Folder of the key (`log.key`, mode 0600), the verifier key (`log.pub`) and the last checkpoints (`last/`). */
  readonly dir: string
  /** Name of the key in notes: `bank.example/audit`. */
  readonly name: string
  readonly sha256: Sha256
}

/** A signer that holds its folder until it is closed. */
export interface FileSigner extends CheckpointSigner {
  close(): Promise<void>
}

/** The first run makes the key. */
export async function openFileSigner({ dir, name, sha256 }: SignerSettings): Promise<FileSigner> {
  await makeFolder(join(dir, 'last'), 0o700)
  const lock = lockFolder(dir)
  try {
    const secret = await openKeyFile(join(dir, 'log.key'))
    const key = noteKey(sha256, name, secret.publicKey)
    if (!key) throw new WritError('config_invalid', `${name} cannot name a key: no spaces, no plus sign`)
    const verifierKey = formatVerifierKey(key)
    await writeWhole(join(dir, 'log.pub'), `${verifierKey}\n`)
    await syncFolder(dir)

    const memory = openMemory(join(dir, 'last'))
    let turn: Promise<unknown> = Promise.resolve()
    return {
      verifierKey,
      last: memory.last,
      sign: (next, proof) => {
        const signed = turn.then(async () => {
          requireExtends(await memory.last(next.origin), next, proof, sha256)
          await requireOpen(next.origin, memory.last)
          await memory.remember(next) // On disk before the signature leaves: a crash may lose it, never repeat it.
          return { checkpoint: next, note: await signNote(formatCheckpoint(next), key, secret.sign) }
        })
        turn = signed.catch(() => undefined)
        return signed
      },
      close: async () => {
        await turn
        lock.release()
      },
    }
  } catch (thrown) {
    lock.release()
    throw thrown
  }
}

function requireExtends(
  last: Checkpoint | undefined,
  next: Checkpoint,
  proof: readonly Uint8Array[],
  sha256: Sha256,
): void {
  const extending = last
    ? verifyConsistency(sha256, last.size, next.size, proof, last.root, next.root)
    : proof.length === 0 && next.root.length === 32
  if (extending) return
  throw new WritError(
    'fork',
    `${next.origin}: a tree of ${next.size} does not extend the one of ${last?.size ?? 0} that was signed`,
    { cure: forkCure },
  )
}

/** A log that another one follows has ended: of two that both grow nobody could tell which is the one. */
async function requireOpen(origin: string, last: CheckpointSigner['last']): Promise<void> {
  const successor = successorOf(origin)
  if (successor === undefined || !(await last(successor))) return
  throw new WritError('fork', `${origin} has ended: ${successor} goes on in its place`, {
    cure: 'the store is from before that log was opened: restore a later copy, or replay what came since',
  })
}

/** For the operator who finds that the log and its signer disagree. */
export const forkCure: string =
  'nothing was signed: compare the store and the log folder with a copy from before, restore the one that was changed, ' +
  'and keep the other as evidence; `writ audit verify --database` names the first entry that differs. Where nothing brings ' +
  'back what was signed, `writ audit new-log` opens a log that says so'

/** One file per origin, holding the checkpoint's own three lines. */
function openMemory(dir: string) {
  const known = new Map<string, Checkpoint>()
  const pathOf = (origin: string): string => join(dir, encodeURIComponent(origin))
  return {
    last: async (origin: string): Promise<Checkpoint | undefined> => {
      const held = known.get(origin)
      if (held) return held
      const text = await readFile(pathOf(origin), 'utf8').catch((thrown: unknown) => {
        if (isMissing(thrown)) return undefined
        throw unreadable(pathOf(origin), messageOf(thrown))
      })
      if (text === undefined) return undefined
      const checkpoint = parseCheckpoint(text)
      if (checkpoint?.origin !== origin) throw unreadable(pathOf(origin), 'it is not a checkpoint of that origin')
      known.set(origin, checkpoint)
      return checkpoint
    },
    remember: async (checkpoint: Checkpoint): Promise<void> => {
      if (known.get(checkpoint.origin)?.size === checkpoint.size) return
      await writeWhole(pathOf(checkpoint.origin), formatCheckpoint(checkpoint), 0o600)
      await syncFolder(dir)
      known.set(checkpoint.origin, checkpoint)
    },
  }
}

const unreadable = (path: string, why: string): WritError =>
  new WritError('fork', `the last signed checkpoint cannot be read from ${path}: ${why}`, {
    cure: 'restore the file from a copy; without it nobody can tell whether the next checkpoint extends the last',
  })
