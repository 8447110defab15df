/** The decisions of a log, page by page: from the process that holds the store, or from the store where nobody does. */

import type { Question } from '../../audit/query/ask.ts'
import { readQuestion } from '../../audit/query/ask.ts'
import { utf8 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { isObject, parseJson } from '../../core/json.ts'
import { type AuditEvent, parseEvent } from '../../core/record.ts'
import { askRunning } from '../ask.ts'

export interface LogOptions {
  readonly state: string
  readonly database?: string
}

/** `pairs` are what `writ audit query` takes. A record that does not parse is left out: the log holds such as anomalies. */
export async function* recordedDecisions(
  pairs: readonly (readonly [string, string])[],
  options: LogOptions,
): AsyncGenerator<AuditEvent> {
  for await (const page of recordedPages(pairs, options)) yield* page
}

/** The same by the page, for whoever is quicker than a turn of the event loop for each. */
export async function* recordedPages(
  pairs: readonly (readonly [string, string])[],
  options: LogOptions,
): AsyncGenerator<readonly AuditEvent[]> {
  const question = readQuestion(pairs, Date.now()) // Wrong questions are refused before anybody is asked.
  if (options.database === undefined) {
    const first = await pageOfRunning(pairs, options.state)
    if (first) {
      yield* fromRunning(first, pairs, options.state)
      return
    }
  }
  yield* fromStore(question, options)
}

interface Page {
  readonly lines: readonly string[]
  readonly next: string | null
}

async function* fromRunning(
  first: Page,
  pairs: readonly (readonly [string, string])[],
  state: string,
): AsyncGenerator<readonly AuditEvent[]> {
  for (let page = first; ; ) {
    yield page.lines.flatMap((line) => eventOf(utf8(line)))
    if (page.next === null) return
    const next = await pageOfRunning([...pairs, ['cursor', page.next]], state)
    if (!next) throw new WritError('unavailable', 'the process that held the log went away', { cure: 'run it again' })
    page = next
  }
}

async function pageOfRunning(pairs: readonly (readonly [string, string])[], state: string): Promise<Page | undefined> {
  const query = new URLSearchParams(pairs.map(([name, value]): [string, string] => [name, value])).toString()
  const answer = await askRunning(state, `/v1/audit/decisions?${query}`)
  if (answer === undefined) return undefined
  const lines = String(answer).trimEnd().split('\n')
  const end = parseJson(lines.pop() ?? '')
  const next = isObject(end) ? end['next'] : undefined
  if (next === null || typeof next === 'string') return { lines, next }
  throw new WritError('unavailable', 'the answer was cut off before its last line', { cure: 'run it again' })
}

async function* fromStore(question: Question, options: LogOptions): AsyncGenerator<readonly AuditEvent[]> {
  const [{ decisionLeaves }, { readCursor }, { openStoreOf }] = await Promise.all([
    import('../../audit/query/node/leaves.ts'),
    import('../../audit/query/ask.ts'),
    import('../place.ts'),
  ])
  const store = await openStoreOf(options)
  try {
    for (let from = question; ; ) {
      const { leaves, next } = await decisionLeaves(store.db, from)
      yield leaves.flatMap(({ bytes }) => eventOf(bytes))
      if (next === null) return
      from = { ...question, cursor: readCursor(next) }
    }
  } finally {
    await store.close()
  }
}

function eventOf(bytes: Uint8Array): readonly AuditEvent[] {
  const read = parseEvent(bytes)
  return 'event' in read ? [read.event] : []
}
