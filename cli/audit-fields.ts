/**
 * Decisions by the clear value of a field that the policy made a digest. There is no index of such values, for it would
 * tell who has the store how often each comes: records are opened, page by page, in somebody's name, and compared.
 */

import type { Answer, DecisionRow } from '../audit/query/answer.ts'
import { shownField } from '../audit/query/sealed.ts'
import { WritError } from '../core/fault.ts'

export interface FieldSearch {
  /** A page of `limit` rows. */
  readonly ask: (cursor: string | undefined) => Promise<Answer>
  /** The same rows with what could be opened of them; recorded by whoever opens. */
  readonly open: (rows: readonly DecisionRow[]) => Promise<readonly DecisionRow[]>
  /** Clear values by field, as the binding names it: `path`, `header x-user`. */
  readonly wanted: ReadonlyMap<string, string>
  readonly cursor: string | undefined
  /** Rows at most. */
  readonly limit: number
  /** Rows that one answer goes through. Default 20 000. */
  readonly most?: number
}

export interface FoundFields extends Answer {
  /** Records that have such a field, of which nobody here has what opens it, or which were erased. */
  readonly unreadable: number
}

export async function findByField({
  ask,
  open,
  wanted,
  limit,
  most = 20_000,
  ...from
}: FieldSearch): Promise<FoundFields> {
  const rows: DecisionRow[] = []
  let [cursor, looked, unreadable] = [from.cursor, 0, 0]
  for (;;) {
    const page = await ask(cursor)
    const sealed = page.rows.filter((row) => [...wanted.keys()].every((field) => shownField(row, field) !== null))
    const opened = sealed.length > 0 ? await open(sealed) : []
    const fitting = opened.filter((row) => [...wanted].every(([field, value]) => openedValue(row, field) === value))
    // What does not fit on this page any more begins the next one.
    if (rows.length + fitting.length > limit) return { rows, next: cursor ?? null, looked, unreadable }
    rows.push(...fitting)
    unreadable += opened.filter((row) =>
      [...wanted.keys()].some((field) => openedValue(row, field) === undefined),
    ).length
    looked += page.looked ?? page.rows.length
    if (page.next === null) return { rows, next: null, unreadable }
    cursor = page.next
    if (rows.length === limit || looked >= most) return { rows, next: cursor, looked, unreadable }
  }
}

function openedValue(row: DecisionRow, field: string): string | undefined {
  const found = row.sealed?.find((one) => one.field === field)
  return found?.state === 'disclosed' ? (shownField(row, field) ?? undefined) : undefined
}

/** From `path=/patients/4711`. */
export function wantedFields(texts: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    texts.map((text) => {
      const at = text.indexOf('=')
      if (at > 0) return [text.slice(0, at), text.slice(at + 1)] as const
      throw new WritError('usage', `--field takes name=value, such as path=/patients/4711; not ${text}`)
    }),
  )
}
