/** The log that options name: its folder, its key, and the tables where they are asked for. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { LogPlace } from '../audit/node/examine.ts'
import { readVerifierKey } from '../audit/node/logfolder.ts'
import { openStore, type Store, type StoreSettings } from '../audit/node/store.ts'
import { verifyHead } from '../ca/node/heads.ts'
import { WritError } from '../core/fault.ts'
import { sha256 } from './wire/machine.ts'

export interface PlaceOptions {
  readonly state: string
  readonly log?: string
  readonly key?: string
  readonly database?: string | boolean
}

/** Whoever opens the store closes it. */
export async function openPlace(
  options: PlaceOptions,
): Promise<{ readonly place: LogPlace; readonly store: Store | undefined }> {
  const dir = options.log ?? join(options.state, 'log')
  const key = await readVerifierKey(options.key ?? keyFileOf(options), sha256)
  const store = options.database ? await openStore(storeOf(options)) : undefined
  return { place: { dir, key, verifyHead, sha256, ...(store && { db: store.db }) }, store }
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

export function storeOf(options: { readonly state: string; readonly database?: string | boolean }): StoreSettings {
  if (typeof options.database === 'string') return { kind: 'postgres', url: options.database }
  const dir = join(options.state, 'store')
  if (existsSync(dir)) return { kind: 'pglite', dir }
  throw new WritError('not_found', `there is no store in ${options.state}`, {
    cure: 'give the state folder with --state, or PostgreSQL with --database',
  })
}
