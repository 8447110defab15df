/** Questions that were kept under a name, with who kept them. */

import { WritError } from '../../../core/fault.ts'
import { sql } from '../../store/drizzle.ts'
import type { Db } from '../../store/schema.ts'
import { readQuestion } from '../ask.ts'
import { isoTime } from './find.ts'
import { rowsFrom } from './sql.ts'

export interface SavedQuestion {
  readonly name: string
  /** As in a query string: what is relative, such as `since=1h`, is so to when it is asked. */
  readonly asked: string
  readonly savedBy: string
  readonly savedAt: string
}

const maxSaved = 1000
const nameShape = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

export async function saveQuestion(db: Db, name: string, asked: string, by: string, nowMs: number): Promise<void> {
  if (!nameShape.test(name)) {
    throw new WritError('usage', `${JSON.stringify(name)} is no name for a question`, {
      cure: 'take up to 64 letters, digits, dots, dashes and underscores',
    })
  }
  readQuestion(new URLSearchParams(asked), nowMs)
  const [row] = await rowsFrom(db, sql`select count(*)::integer as n from saved_questions where name <> ${name}`)
  if (Number(row?.['n']) >= maxSaved) throw new WritError('usage', `${maxSaved} questions are saved already`)
  const at = new Date(nowMs).toISOString()
  await db.execute(sql`insert into saved_questions (name, asked, saved_by, saved_at) values (${name}, ${asked}, ${by}, ${at})
    on conflict (name) do update set asked = ${asked}, saved_by = ${by}, saved_at = ${at}`)
}

export async function savedQuestions(db: Db): Promise<readonly SavedQuestion[]> {
  const rows = await rowsFrom(db, sql`select * from saved_questions order by name`)
  return rows.map((row) => ({
    name: String(row['name']),
    asked: String(row['asked']),
    savedBy: String(row['saved_by']),
    savedAt: isoTime(String(row['saved_at'])),
  }))
}

export async function savedQuestion(db: Db, name: string): Promise<SavedQuestion> {
  const found = (await savedQuestions(db)).find((one) => one.name === name)
  if (found) return found
  throw new WritError('not_found', `no question is saved as ${JSON.stringify(name)}`, { cure: 'see `writ audit list`' })
}

export async function removeQuestion(db: Db, name: string): Promise<void> {
  await savedQuestion(db, name)
  await db.execute(sql`delete from saved_questions where name = ${name}`)
}
