/** A question to the log: which decisions, how many, from where on. One form for the command line and the API. */

import { WritError } from '../../core/fault.ts'
import { parseMoment } from './moment.ts'

export const verdicts = ['allow', 'deny', 'fault'] as const

export const directions = ['inbound', 'outbound'] as const

export const shadows = ['no', 'only', 'any'] as const

export const origins = ['mesh', 'opa', 'any'] as const

export interface Question {
  /** A whole SPIFFE id, or the end of its path: `web`. */
  readonly caller?: string
  /** A whole SPIFFE id, the end of its path, or a service. */
  readonly target?: string
  readonly verdict?: (typeof verdicts)[number]
  /** Default both: a call leaves a record on the caller's side and one on the callee's. */
  readonly direction?: (typeof directions)[number]
  readonly code?: string
  readonly method?: string
  /** What the path begins with. */
  readonly path?: string
  /** Milliseconds since 1970; from included, to not. */
  readonly fromMs?: number
  readonly toMs?: number
  readonly requestId?: string
  /** Revision of the policy that decided. */
  readonly revision?: string
  /** `epoch-seq` of one decision. */
  readonly id?: string
  /** Answers that changed nothing, of policies on trial: without them, only them, or both. Default `no`; with `id` both. */
  readonly shadow?: (typeof shadows)[number]
  /** Decisions of proxies, those that OPA servers sent, or both. Default `mesh`; with `id` both. */
  readonly origin?: (typeof origins)[number]
  /** Rows at most. Default 50, at most 1000. */
  readonly limit?: number
  /** What the answer before gave as `next`. */
  readonly cursor?: Cursor
}

/** Per shard the index below which to read on. */
export type Cursor = ReadonlyMap<number, number>

export const defaultLimit = 50
export const maxLimit = 1000
const maxTextLength = 2048
const maxShards = 4096

const texts = ['caller', 'target', 'code', 'method', 'path', 'requestId', 'revision', 'id'] as const

/** Reads a question from `name=value` pairs, as in a query string. Throws `usage` on what is none. */
export function readQuestion(pairs: Iterable<readonly [string, string]>, nowMs: number): Question {
  const question: { -readonly [Key in keyof Question]: Question[Key] } = {}
  for (const [name, value] of pairs) {
    if (value.length > maxTextLength) throw usage(name, `takes at most ${maxTextLength} characters`)
    if (value === '') continue
    const text = texts.find((known) => known === name)
    if (text) question[text] = value
    else if (name === 'verdict') question.verdict = oneOf(verdicts, name, value)
    else if (name === 'direction') question.direction = oneOf(directions, name, value)
    else if (name === 'shadow') question.shadow = oneOf(shadows, name, value)
    else if (name === 'origin') question.origin = oneOf(origins, name, value)
    else if (name === 'since') question.fromMs = parseMoment(value, nowMs, 'since')
    else if (name === 'until') question.toMs = parseMoment(value, nowMs, 'until')
    else if (name === 'limit') question.limit = limitOf(value)
    else if (name === 'cursor') question.cursor = readCursor(value)
    else throw usage(name, 'is not something to ask for')
  }
  if (question.method !== undefined) question.method = question.method.toUpperCase()
  return question
}

export const writeCursor = (cursor: Cursor): string =>
  [...cursor]
    .sort(([a], [b]) => a - b)
    .map(([shard, index]) => `${shard}.${index}`)
    .join('_')

export function readCursor(text: string): Cursor {
  const cursor = new Map<number, number>()
  for (const part of text.split('_')) {
    const match = /^(\d{1,6})\.(\d{1,15})$/.exec(part)
    if (!match || cursor.size >= maxShards) throw usage('cursor', 'is not one that this program gave')
    cursor.set(Number(match[1]), Number(match[2]))
  }
  return cursor
}

function oneOf<Word extends string>(words: readonly Word[], name: string, text: string): Word {
  const word = words.find((known) => known === text)
  if (word === undefined) throw usage(name, `is one of ${words.join(', ')}`)
  return word
}

function limitOf(text: string): number {
  const limit = Number(text)
  if (!/^\d+$/.test(text) || limit < 1 || limit > maxLimit) throw usage('limit', `takes a number from 1 to ${maxLimit}`)
  return limit
}

const usage = (name: string, what: string): WritError =>
  new WritError('usage', `${name} ${what}`, { cure: 'see `writ audit query --help`' })
