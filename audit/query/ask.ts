/** A question to the log: which decisions, how many, from where on. One form for the command line and the API. */

import { WritError } from '../../core/fault.ts'
import { type EventKind, eventKinds } from '../../core/record.ts'
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
  /** Of a denial: what one of its reasons says, in part. */
  readonly reason?: string
  /** Policy that decided. */
  readonly bundle?: string
  readonly traceId?: string
  /** The peer's IP address. */
  readonly address?: string
  /** Serial number of the caller's certificate, hex. */
  readonly serial?: string
  /** SPIFFE id, or the end of its path, of who wrote the record. */
  readonly producer?: string
  /** How it ended: `ok`, or an HTTP status. */
  readonly outcome?: string
  /** Sent in vain at least so often before it ended so, 1 to 10. */
  readonly attempts?: number
  /** Records of this kind, or `all`, instead of decisions. */
  readonly kind?: EventKind | 'all'
  /** Claims of the request's token that were recorded, by the path of each. */
  readonly claim?: readonly NamedValue[]
  /** Members of the record, by the path of each: `input.attributes.request.http.host`. */
  readonly fact?: readonly NamedValue[]
  /** What must not be, by the name of its option: `caller=web`. */
  readonly not?: readonly NamedValue[]
  /** Rows at most. Default 50, at most 1000. */
  readonly limit?: number
  /** What the answer before gave as `next`. */
  readonly cursor?: Cursor
}

/** `sub=alice`: a name and what it is. */
export interface NamedValue {
  readonly name: string
  readonly value: string
}

/** Per shard the index below which to read on. */
export type Cursor = ReadonlyMap<number, number>

export const defaultLimit = 50
export const maxLimit = 1000
const maxTextLength = 2048
const maxShards = 4096
/** As many as an outcome tells. */
const mostAttempts = 10

const texts = [
  ...['caller', 'target', 'code', 'method', 'path', 'requestId', 'revision', 'id', 'reason', 'bundle'],
  ...['traceId', 'address', 'serial', 'producer', 'outcome'],
] as readonly TextName[]

type TextName =
  | ('caller' | 'target' | 'code' | 'method' | 'path' | 'requestId' | 'revision' | 'id' | 'reason' | 'bundle')
  | ('traceId' | 'address' | 'serial' | 'producer' | 'outcome')

/** What may stand in `not`, and has a column. */
export const negatable: readonly string[] = [...texts.filter((name) => name !== 'id'), 'verdict', 'direction']

/** Values of one of `claim`, `fact` and `not` at most. */
const maxNamed = 16

/** Reads a question from `name=value` pairs, as in a query string. Throws `usage` on what is none. */
export function readQuestion(
  pairs: Iterable<readonly [string, string]>,
  nowMs: number,
  most: number = maxLimit,
): Question {
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
    else if (name === 'kind') question.kind = kindOf(value)
    else if (name === 'claim' || name === 'fact' || name === 'not') {
      const list = [...(question[name] ?? []), namedValue(name, value)]
      if (list.length > maxNamed) throw usage(name, `is given at most ${maxNamed} times`)
      question[name] = list
    } else if (name === 'since') question.fromMs = parseMoment(value, nowMs, 'since')
    else if (name === 'until') question.toMs = parseMoment(value, nowMs, 'until')
    else if (name === 'limit') question.limit = numberOf(name, value, most)
    else if (name === 'attempts') question.attempts = numberOf(name, value, mostAttempts)
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

function namedValue(option: string, text: string): NamedValue {
  const cut = text.indexOf('=')
  if (cut < 1) throw usage(option, 'takes NAME=VALUE')
  const [name, value] = [text.slice(0, cut), text.slice(cut + 1)]
  if (option !== 'not') return { name, value }
  const known = negatable.find((one) => one === name || dashed(one) === name)
  if (!known) throw usage('not', `is about one of ${negatable.map(dashed).join(', ')}`)
  if (known === 'verdict') oneOf(verdicts, 'not verdict', value)
  if (known === 'direction') oneOf(directions, 'not direction', value)
  return { name: known, value: known === 'method' ? value.toUpperCase() : value }
}

const dashed = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

const kindOf = (text: string): EventKind | 'all' => oneOf([...eventKinds, 'all'] as const, 'kind', text)

function oneOf<Word extends string>(words: readonly Word[], name: string, text: string): Word {
  const word = words.find((known) => known === text)
  if (word === undefined) throw usage(name, `is one of ${words.join(', ')}`)
  return word
}

function numberOf(name: string, text: string, most: number): number {
  const number = Number(text)
  if (!/^\d+$/.test(text) || number < 1 || number > most) throw usage(name, `takes a number from 1 to ${most}`)
  return number
}

const usage = (name: string, what: string): WritError =>
  new WritError('usage', `${name} ${what}`, { cure: 'see `writ audit query --help`' })
