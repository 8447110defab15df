/** Opens what a record's digests are of, where its key is still there, and compares it with them. */

import { fromUtf8, toBase64Url, utf8 } from '../../core/bytes.ts'
import { isObject, type Json, parseJson } from '../../core/json.ts'
import type { Sha256 } from '../../core/ports.ts'
import { type Epoch, parseEvent } from '../../core/record.ts'
import { findLeaf } from '../query/node/leaf.ts'
import { findDisclosure } from '../store/disclosures.ts'
import type { Db } from '../store/schema.ts'
import { decrypt } from './seal.ts'
import type { Vault } from './vault.ts'

export interface Disclosed {
  /** `withheld`: nobody here has what opens it. `erased`: its key was destroyed, and the log says so. */
  readonly state: 'nothing personal' | 'disclosed' | 'withheld' | 'erased'
  /** Names of the sealed fields; values of those that were opened and fit their digests. */
  readonly fields: Readonly<Record<string, Json | undefined>>
}

export async function disclose(
  db: Db,
  vault: Pick<Vault, 'get'>,
  id: { readonly epoch: Epoch; readonly seq: number },
  sha256: Sha256,
): Promise<Disclosed | undefined> {
  const leaf = await findLeaf(db, id)
  const read = leaf && parseEvent(new Uint8Array(leaf.bytes))
  if (!read || 'wrong' in read) return undefined
  const sealed: unknown = (read.event as { readonly sealed?: unknown }).sealed
  const digests = isObject(sealed as Json) ? (sealed as Readonly<Record<string, unknown>>) : {}
  const fields: Record<string, Json | undefined> = Object.fromEntries(
    Object.keys(digests).map((name) => [name, undefined]),
  )
  if (Object.keys(fields).length === 0) return { state: 'nothing personal', fields }
  const row = await findDisclosure(db, id)
  if (row && row.sealed === null) return { state: 'erased', fields }
  const key = row && (await vault.get(row.key))
  const text = key && decrypt(key, row.sealed!, row.key)
  if (!text) return { state: 'withheld', fields }
  for (const disclosure of disclosuresIn(text)) {
    const [, name, value] = parseJson(Buffer.from(disclosure, 'base64url').toString()) as readonly Json[]
    if (digests[name as string] === toBase64Url(sha256(utf8(disclosure)))) fields[name as string] = value
  }
  return { state: 'disclosed', fields }
}

function disclosuresIn(text: Uint8Array): readonly string[] {
  const value = parseJson(fromUtf8(text))
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
}
