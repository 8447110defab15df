/** The log of this process as verification and reports take it. */

import { parseVerifierKey } from '../../audit/log/note.ts'
import { type LogPlace, verifyPlace } from '../../audit/node/examine.ts'
import type { Db } from '../../audit/store/schema.ts'
import type { Verification } from '../../audit/verify/verify.ts'
import { verifyHead } from '../../ca/node/heads.ts'
import { WritError } from '../../core/fault.ts'
import { sha256 } from './machine.ts'

export function logPlace(dir: string, verifierKey: string): LogPlace
export function logPlace(dir: string, verifierKey: string, db: Db): LogPlace & { readonly db: Db }
export function logPlace(dir: string, verifierKey: string, db?: Db): LogPlace {
  const key = parseVerifierKey(sha256, verifierKey)
  if (!key) throw new WritError('usage', `${verifierKey} is no verifier key`, { cure: 'give the content of log.pub' })
  return { dir, key, verifyHead, sha256, ...(db && { db }) }
}

export const verifyFolder = async (dir: string, verifierKey: string): Promise<Verification> =>
  (await verifyPlace(logPlace(dir, verifierKey))).verification
