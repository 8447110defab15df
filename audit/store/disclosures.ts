/** Disclosures as they come beside records: sealed, in a table of their own, no part of the log. */

import { fromUtf8 } from '../../core/bytes.ts'
import { isObject, type Json, parseJson } from '../../core/json.ts'
import { type AuditEvent, decisionId, type Epoch, type ErasedBody } from '../../core/record.ts'
import type { ArrivedRecord } from './arrival.ts'
import { sql } from './drizzle.ts'
import type { Db } from './schema.ts'
import { rowsOf } from './sql.ts'

/** Longest sealed disclosure, in characters. */
export const maxSealed = 65_536
/** Name of a key. */
export const keyShape: RegExp = /^[0-9a-f]{32}$/

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
  const whole = typeof key === 'string' && keyShape.test(key) && typeof sealed === 'string'
  return whole && sealed.length <= maxSealed && /^[A-Za-z0-9_-]+$/.test(sealed) ? { key, sealed } : undefined
}

/** Rows of one batch. */
export interface PreparedDisclosures {
  readonly rows: readonly {
    readonly index: number
    readonly epoch: string
    readonly seq: number
    /** Names of the fields, as JSON. */
    readonly fields: string
    readonly key?: string
    readonly sealed?: string
  }[]
  readonly erased: readonly {
    readonly key: string
    readonly index: number
    readonly epoch: string
    readonly seq: number
  }[]
}

/** Entries from index `size` on. A record that has digests has a row, also where nothing came beside it that opens them. */
export function prepareDisclosures(size: number, entries: readonly ArrivedRecord[]): PreparedDisclosures {
  const rows: PreparedDisclosures['rows'][number][] = []
  const erased: PreparedDisclosures['erased'][number][] = []
  for (const [i, { event, beside }] of entries.entries()) {
    const { epoch, seq } = event
    const place = { index: size + i, epoch, seq }
    const names = Object.keys(digestsOf(event))
    if (names.length > 0) {
      rows.push({ ...place, fields: JSON.stringify(names), ...(beside && readBeside(beside)) })
    }
    for (const key of keysErasedBy(event)) erased.push({ ...place, key })
  }
  return { rows, erased }
}

/** Digests of a record's personal fields, by the name of the field. */
export function digestsOf(event: object): Readonly<Record<string, string>> {
  const sealed = (event as { readonly sealed?: Json }).sealed
  const digests = Object.entries(isObject(sealed) ? sealed : {}).filter((one) => typeof one[1] === 'string')
  return Object.fromEntries(digests) as Record<string, string>
}

function keysErasedBy(event: Pick<AuditEvent, 'kind'>): readonly string[] {
  const keys: unknown = event.kind === 'erased' ? (event as AuditEvent<ErasedBody>).keys : undefined
  return Array.isArray(keys) ? [...new Set(keys.filter((key) => typeof key === 'string' && keyShape.test(key)))] : []
}

/** Keeps what came, and empties those whose key the log says is destroyed, be it before or after they came. */
export async function insertDisclosures(tx: Db, shard: number, { rows, erased }: PreparedDisclosures): Promise<void> {
  if (erased.length > 0) {
    const list = JSON.stringify(erased)
    await tx.execute(sql`insert into erased_keys (key_id, shard, index, epoch, seq)
      select r.key, ${shard}, r.index, r.epoch, r.seq from json_to_recordset(${list}::json)
        as r(key text, index bigint, epoch text, seq bigint) on conflict (key_id) do nothing`)
    await tx.execute(sql`update disclosures set sealed = null
      where key_id in (select r.key from json_to_recordset(${list}::json) as r(key text)) and sealed is not null`)
  }
  if (rows.length === 0) return
  await tx.execute(sql`insert into disclosures (shard, index, epoch, seq, fields, key_id, sealed)
    select ${shard}, r.index, r.epoch, r.seq, r.fields, r.key, case when e.key_id is null then r.sealed end
    from json_to_recordset(${JSON.stringify(rows)}::json)
      as r(index bigint, epoch text, seq bigint, fields text, key text, sealed text)
      left join erased_keys e on e.key_id = r.key`)
}

/** What is kept for a record's digests; undefined where nothing came. */
export interface KeptDisclosure {
  readonly key: string
  /** Null once its key was destroyed. */
  readonly sealed: string | null
  /** Id of the `erased` record that says so; a store of an earlier version does not know it. */
  readonly erasedBy?: string
}

export async function findDisclosure(
  db: Db,
  id: { readonly epoch: string; readonly seq: number },
): Promise<KeptDisclosure | undefined> {
  const [row] = await rowsOf<{ key: string; sealed: string | null; epoch: Epoch | null; seq: string | null }>(
    db.execute(sql`select d.key_id as key, d.sealed, e.epoch, e.seq
      from disclosures d left join erased_keys e on e.key_id = d.key_id
      where d.epoch = ${id.epoch} and d.seq = ${id.seq} and d.key_id is not null`),
  )
  if (!row) return undefined
  const { key, sealed, epoch, seq } = row
  return { key, sealed, ...(epoch !== null && { erasedBy: decisionId({ epoch, seq: Number(seq) }) }) }
}

export interface KeptFields {
  readonly shard: number
  readonly index: number
  /** Undefined in a row of an earlier version: the leaf tells them. */
  readonly fields?: readonly string[]
  readonly erased: boolean
  readonly erasedBy?: string
}

/** Of those places, the ones whose records have fields that are digests. */
export async function keptFieldsAt(
  db: Db,
  places: readonly { readonly shard: number; readonly index: number }[],
): Promise<readonly KeptFields[]> {
  if (places.length === 0) return []
  const wanted = JSON.stringify(places.map(({ shard, index }) => ({ shard, index })))
  const rows = await rowsOf<{
    shard: number
    index: string
    fields: string | null
    erased: boolean
    epoch: Epoch | null
    seq: string | null
  }>(
    db.execute(sql`select d.shard, d.index, d.fields, d.key_id is not null and d.sealed is null as erased, e.epoch, e.seq
      from json_to_recordset(${wanted}::json) as w(shard integer, index bigint)
        join disclosures d on d.shard = w.shard and d.index = w.index
        left join erased_keys e on e.key_id = d.key_id`),
  )
  return rows.map(({ shard, index, fields, erased, epoch, seq }) => ({
    ...{ shard: Number(shard), index: Number(index), erased },
    ...(fields !== null && { fields: JSON.parse(fields) as string[] }),
    ...(epoch !== null && { erasedBy: decisionId({ epoch, seq: Number(seq) }) }),
  }))
}

/** Ids of records whose personal fields lie under one of those keys, by shard, the newest first. */
export async function recordsUnder(db: Db, keys: readonly string[], most: number): Promise<readonly string[]> {
  if (keys.length === 0) return []
  const rows = await rowsOf<{ epoch: Epoch; seq: string }>(
    db.execute(sql`select epoch, seq from disclosures
      where key_id in (select json_array_elements_text(${JSON.stringify(keys)}::json))
      order by shard, index desc limit ${most}`),
  )
  return rows.map(({ epoch, seq }) => decisionId({ epoch, seq: Number(seq) }))
}
