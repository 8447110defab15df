/** Opens what a record's digests are of, where its key is still there, and compares it with them. */

import { fromUtf8, toBase64Url, utf8 } from '../../core/bytes.ts'
import { type Json, parseJson } from '../../core/json.ts'
import type { Sha256 } from '../../core/ports.ts'
import { type Epoch, parseEvent } from '../../core/record.ts'
import type { FieldState } from '../query/answer.ts'
import { findLeaf } from '../query/node/leaf.ts'
import { digestsOf, findDisclosure, type KeptDisclosure } from '../store/disclosures.ts'
import type { Db } from '../store/schema.ts'
import { decrypt } from './seal.ts'
import type { Vault } from './vault.ts'

export interface Disclosed {
  readonly state: 'nothing personal' | FieldState
  /** Where it is `erased`: id of the record that says so. */
  readonly erasedBy?: string
  /** Names of the sealed fields; values of those that were opened and fit their digests. */
  readonly fields: Readonly<Record<string, Json | undefined>>
}

/** What the store has of a record's personal fields. Nothing in it can be read without the vault's key. */
export interface SealedFields {
  /** Digests by field, as the record has them. */
  readonly digests: Readonly<Record<string, string>>
  /** What opens them, sealed under a key of that name: null once that was erased, undefined where it never came. */
  readonly disclosure?: KeptDisclosure
}

/** Undefined where the log has no such record. */
export async function findSealed(
  db: Db,
  id: { readonly epoch: Epoch; readonly seq: number },
): Promise<SealedFields | undefined> {
  const leaf = await findLeaf(db, id)
  const read = leaf && parseEvent(new Uint8Array(leaf.bytes))
  if (!read || 'wrong' in read) return undefined
  const digests = digestsOf(read.event)
  const disclosure = Object.keys(digests).length === 0 ? undefined : await findDisclosure(db, id)
  return { digests, ...(disclosure && { disclosure }) }
}

/** `vault` may be another machine's than the store's: each value is held against its digest. */
export async function openSealed(
  { digests, disclosure }: SealedFields,
  vault: Pick<Vault, 'get'>,
  sha256: Sha256,
): Promise<Disclosed> {
  const fields: Record<string, Json | undefined> = Object.fromEntries(
    Object.keys(digests).map((name) => [name, undefined]),
  )
  if (Object.keys(fields).length === 0) return { state: 'nothing personal', fields }
  if (disclosure?.sealed === null) {
    return { state: 'erased', fields, ...(disclosure.erasedBy !== undefined && { erasedBy: disclosure.erasedBy }) }
  }
  const key = disclosure && (await vault.get(disclosure.key))
  const text = key && decrypt(key, disclosure.sealed, disclosure.key)
  if (!text) return { state: 'withheld', fields }
  for (const disclosure of disclosuresIn(text)) {
    const [, name, value] = parseJson(Buffer.from(disclosure, 'base64url').toString()) as readonly Json[]
    if (digests[name as string] === toBase64Url(sha256(utf8(disclosure)))) fields[name as string] = value
  }
  return { state: 'disclosed', fields }
}

/** Both, where store and vault are in one place. */
export async function disclose(
  db: Db,
  vault: Pick<Vault, 'get'>,
  id: { readonly epoch: Epoch; readonly seq: number },
  sha256: Sha256,
): Promise<Disclosed | undefined> {
  const sealed = await findSealed(db, id)
  return sealed && openSealed(sealed, vault, sha256)
}

function disclosuresIn(text: Uint8Array): readonly string[] {
  const value = parseJson(fromUtf8(text))
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
}
