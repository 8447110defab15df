/**
 * Dictionaries of the store: what repeats in rows stands once, under a small number. Auditors share them; each remembers
 * the numbers that it met lately. An entry that nothing refers to does no harm, so they are made outside of transactions.
 */

import { sql } from './drizzle.ts'
import type { Db } from './schema.ts'
import { rowsOf } from './sql.ts'

/** Columns of an entry, in the table's order. */
export type Entry = readonly (string | boolean | null)[]

/** Entries remembered in a dictionary; at the longest, a megabyte for each hundred. */
const maxKnown = 32_768

class Dictionary {
  readonly #table: string
  readonly #columns: readonly string[]
  readonly #ids = new Map<string, number>()
  readonly #wanted = new Map<string, string>()

  constructor(table: string, ...columns: readonly string[]) {
    this.#table = table
    this.#columns = columns
  }

  /** To be called before the first `want` of a batch. */
  begin(): void {
    if (this.#ids.size > maxKnown) this.#ids.clear()
    this.#wanted.clear()
  }

  /** `key` is the caller's own name of the entry, one for each. */
  want(key: string, entry: () => Entry): void {
    if (!this.#ids.has(key) && !this.#wanted.has(key)) this.#wanted.set(key, JSON.stringify(entry()))
  }

  /** After `learn`. */
  id(key: string): number {
    return this.#ids.get(key)!
  }

  async learn(db: Db): Promise<void> {
    if (this.#wanted.size === 0) return
    const texts = [...this.#wanted.values()]
    const found = new Map<string, number>()
    await this.#look(db, texts, found)
    for (let turn = 0; found.size < texts.length; turn++) {
      if (turn === 3) throw new Error(`${this.#table} does not keep what was put in`)
      const missing = texts.filter((text) => !found.has(text))
      await this.#add(db, missing)
      await this.#look(db, missing, found)
    }
    for (const [key, text] of this.#wanted) this.#ids.set(key, found.get(text)!)
    this.#wanted.clear()
  }

  async #look(db: Db, texts: readonly string[], found: Map<string, number>): Promise<void> {
    const rows = await rowsOf<{ text: string; id: number }>(
      db.execute(sql`select w.text, d.id from json_array_elements_text(${JSON.stringify(texts)}::json) as w(text)
        join ${sql.raw(this.#table)} d on d.key = sha256(convert_to(w.text, 'UTF8'))`),
    )
    for (const { text, id } of rows) found.set(text, Number(id))
  }

  /** In one order everywhere: two that put in the same entries in different orders would wait for each other for ever. */
  async #add(db: Db, texts: readonly string[]): Promise<void> {
    const members = this.#columns.map((name, i) => `(w.text::json->>${i})::${booleans.has(name) ? 'boolean' : 'text'}`)
    await db.execute(sql`insert into ${sql.raw(this.#table)} (key, ${sql.raw(this.#columns.join(', '))})
      select sha256(convert_to(w.text, 'UTF8')), ${sql.raw(members.join(', '))}
      from json_array_elements_text(${JSON.stringify(texts)}::json) as w(text) order by 1 on conflict (key) do nothing`)
  }
}

const booleans: ReadonlySet<string> = new Set(['enforced', 'reasoned'])

export class Dictionaries {
  readonly runs: Dictionary = new Dictionary('runs', 'epoch', 'producer')
  readonly names: Dictionary = new Dictionary('names', 'name')
  readonly peers: Dictionary = new Dictionary('peers', 'serial', 'source_address')
  readonly shapes: Dictionary = new Dictionary('shapes', ...shapeColumns)

  begin(): void {
    for (const one of this.#all()) one.begin()
  }

  async learn(db: Db): Promise<void> {
    for (const one of this.#all()) await one.learn(db)
  }

  #all(): readonly Dictionary[] {
    return [this.runs, this.names, this.peers, this.shapes]
  }
}

export const shapeColumns: readonly string[] = [
  ...['kind', 'direction', 'workload', 'listener', 'target', 'service', 'method', 'verdict', 'code', 'by'],
  ...['enforced', 'bundle', 'revision', 'policy_sha256', 'reasoned'],
]
