/** Disclosures as they come beside records: sealed, in a table of their own, no part of the log. */

import { sql } from 'drizzle-orm'
import { fromUtf8 } from '../../core/bytes.ts'
import { isObject, parseJson } from '../../core/json.ts'
import type { AuditEvent, ErasedBody } from '../../core/record.ts'
import type { ArrivedRecord } from './arrival.ts'
import type { Db } from './schema.ts'
import { rowsOf } from './sql.ts'

const maxSealed = 65_536

/** What beside a record is a sealed disclosure: the name of its key, and base64url. Anything else is nobody's. */
export function readBeside(beside: Uint8Array): { readonly key: string; readonly sealed: string } | undefined {
  let value: unknown
  try {
    value = parseJson(fromUtf8(beside))
  } catch {
    return undefined
  }
  if (!isObject(value as never)) return undefined
  const { k: key, d: sealed } = value as { readonly k?: unknown; readonly d?: unknown }
  const whole = typeof key === 'string' && /^[0-9a-f]{32}$/.test(key) && typeof sealed === 'string'
  return whole && sealed.length <= maxSealed && /^[A-Za-z0-9_-]+$/.test(sealed) ? { key, sealed } : undefined
}

/** Keeps those that came, and empties those whose key the log now says is destroyed. */
export async function insertDisclosures(
  tx: Db,
  shard: number,
  size: number,
  entries: readonly ArrivedRecord[],
): Promise<void> {
  const rows = entries.flatMap(({ event, beside }, i) => {
    const read = beside && readBeside(beside)
    return read ? [{ index: size + i, epoch: event.epoch, seq: event.seq, ...read }] : []
  })
  if (rows.length > 0) {
    await tx.execute(sql`insert into disclosures (shard, index, epoch, seq, key_id, sealed)
      select ${shard}, r.* from json_to_recordset(${JSON.stringify(rows)}::json)
        as r(index bigint, epoch text, seq bigint, key text, sealed text)`)
  }
  const erased = entries.flatMap(({ event }) => {
    const keys: unknown = event.kind === 'erased' ? (event as AuditEvent<ErasedBody>).keys : undefined
    return Array.isArray(keys) ? keys.filter((key) => typeof key === 'string') : []
  })
  if (erased.length === 0) return
  await tx.execute(sql`update disclosures set sealed = null
    where key_id in (select value from json_array_elements_text(${JSON.stringify(erased)}::json))`)
}

/** `sealed` is null once its key was destroyed. */
export async function findDisclosure(
  db: Db,
  id: { readonly epoch: string; readonly seq: number },
): Promise<{ readonly key: string; readonly sealed: string | null } | undefined> {
  const rows = await rowsOf<{ readonly key: string; readonly sealed: string | null }>(
    db.execute(sql`select key_id as key, sealed from disclosures where epoch = ${id.epoch} and seq = ${id.seq}`),
  )
  return rows[0]
}
