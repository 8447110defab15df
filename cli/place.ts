/** The log that options name: its folder, its key, and the tables where they are asked for. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { formatVerifierKey } from '../audit/log/note.ts'
import type { LogPlace } from '../audit/node/examine.ts'
import { readVerifierKey } from '../audit/node/logfolder.ts'
import { openStore, type Store, type StoreSettings } from '../audit/node/store.ts'
import { verifyHead } from '../ca/node/heads.ts'
import { equalBytes } from '../core/bytes.ts'
import { WritError } from '../core/fault.ts'
import { sha256 } from './wire/machine.ts'
import { readCheckpointFile, readPolicy } from './witness-policy.ts'

export interface PlaceOptions {
  readonly state: string
  readonly log?: string
  readonly key?: string
  /** Of logs before it, which had other keys. */
  readonly formerKey?: readonly string[]
  readonly database?: string | boolean
  /** A file of whose word is asked for (C2SP tlog-policy), or keys of witnesses that all have to have cosigned. */
  readonly policy?: string
  readonly witness?: readonly string[]
  readonly archive?: string
  readonly s3Endpoint?: string
  readonly s3Region?: string
  /** Files of checkpoints that the log must extend. */
  readonly checkpoint?: readonly string[]
}

/** Whoever opens the store closes it. */
export async function openPlace(
  options: PlaceOptions,
): Promise<{ readonly place: LogPlace; readonly store: Store | undefined }> {
  const dir = options.log ?? join(options.state, 'log')
  const policy = await readPolicy(options)
  // A policy from somebody trusted names the log's key too.
  const [named, more] = options.key === undefined ? (policy?.logs ?? []) : []
  const key = named && !more ? named : await readVerifierKey(options.key ?? keyFileOf(options), sha256)
  if (policy && policy.logs.length > 0 && !policy.logs.some(({ publicKey }) => equalBytes(publicKey, key.publicKey))) {
    throw new WritError('usage', `${options.policy} does not name the log with the key ${formatVerifierKey(key)}`, {
      cure: 'give the policy of this log, or the key that it names',
    })
  }
  const formerKeys = await Promise.all((options.formerKey ?? []).map((text) => readVerifierKey(text, sha256)))
  const checkpoints = await Promise.all((options.checkpoint ?? []).map(readCheckpointFile))
  const store = options.database ? await openStoreOf(options) : undefined
  return {
    place: {
      dir,
      key,
      formerKeys,
      verifyHead,
      sha256,
      checkpoints,
      s3: { endpoint: options.s3Endpoint, region: options.s3Region },
      ...(policy && { policy }),
      ...(options.archive !== undefined && { archive: options.archive }),
      ...(store && { db: store.db }),
    },
    store,
  }
}

function keyFileOf({ state, log }: PlaceOptions): string {
  const places = [
    join(state, 'signer', 'log.pub'),
    join(state, 'log', 'log.pub'),
    ...(log === undefined ? [] : [join(log, 'log.pub')]),
  ]
  // A key that lies beside the log it vouches for proves only that the two belong together.
  const found = (log === undefined ? places : places.slice(2)).find((path) => existsSync(path))
  if (found !== undefined) return found
  throw new WritError('usage', 'no verifier key', {
    cure: 'give it with --key: the text or the file log.pub that the auditor made, from somebody you trust',
  })
}

/** The store that options name, with the log folder beside it, which has leaves that the store has no more. */
export const openStoreOf = (options: Pick<PlaceOptions, 'state' | 'database' | 'log'>): Promise<Store> =>
  openStore(storeOf(options), options.log ?? join(options.state, 'log'))

export function storeOf(options: { readonly state: string; readonly database?: string | boolean }): StoreSettings {
  if (typeof options.database === 'string') return { kind: 'postgres', url: options.database }
  const dir = join(options.state, 'store')
  if (existsSync(dir)) return { kind: 'pglite', dir }
  throw new WritError('not_found', `there is no store in ${options.state}`, {
    cure: 'give the state folder with --state, or PostgreSQL with --database',
  })
}
