/** The canned questions: what each is called, what it takes, and what its answer has in its columns. */

import { WritError } from '../../core/fault.ts'
import type { Json } from '../../core/json.ts'
import { directions, maxLimit } from './ask.ts'
import { parseMoment, parseSpan } from './moment.ts'

/** How a cell is written. `id` is a SPIFFE id, `record` the id of a record, `share` a part of 1. */
export type CellKind = 'text' | 'id' | 'record' | 'count' | 'number' | 'ms' | 'share' | 'time' | 'span'

export interface AnswerColumn {
  readonly name: string
  /** Over the column of a table; without one it stands only in JSON and CSV. */
  readonly title?: string
  readonly kind: CellKind
}

export interface CannedQuestion {
  readonly name: string
  /** What it answers, in a sentence. */
  readonly asks: string
  /** Whom it is about, where it is about somebody. */
  readonly about?: 'target' | 'caller'
  /** Options beside `since`, `until` and `limit`. */
  readonly takes: readonly (keyof Options)[]
  /** Default of `since`, as people type it. */
  readonly since: string
  readonly columns: readonly AnswerColumn[]
}

interface Options {
  readonly direction: (typeof directions)[number] | 'any'
  /** Least number of decisions, or of denials, that is looked at. */
  readonly atLeast: number
  /** What a score or a divergence has to be over. */
  readonly over: number
  /** How long before `since` is compared with, in milliseconds. */
  readonly beforeMs: number
  readonly bundle: string
  /** SPIFFE id, or the end of its path. */
  readonly caller: string
  /** Names of rules, as the reasons of what they allow have them. */
  readonly rules: readonly string[]
}

export interface Asked extends Partial<Options> {
  readonly question: CannedQuestion
  readonly about?: string
  readonly fromMs: number
  readonly toMs: number
  readonly limit: number
}

export interface CannedAnswer {
  readonly question: string
  readonly asks: string
  /** RFC 3339. From the beginning of its hour: sums are kept by the hour. */
  readonly since: string
  readonly until: string
  readonly columns: readonly AnswerColumn[]
  readonly rows: readonly AnswerRow[]
  /** There are more rows than were asked for. */
  readonly cut: boolean
  /** What a reader has to know to take the rows for what they are. */
  readonly notes: readonly string[]
  /** Of a question that has one right answer: whether it is this. */
  readonly ok?: boolean
}

export interface AnswerRow {
  readonly [column: string]: Json
}

const column = (name: string, kind: CellKind, title?: string): AnswerColumn => ({
  name,
  kind,
  ...(title !== undefined && { title }),
})

const caller = column('caller', 'id', 'CALLER')
const target = column('target', 'id', 'TARGET')
const method = column('method', 'text', 'METHOD')
const decisions = column('decisions', 'count', 'DECISIONS')
const lastAt = column('last_at', 'time', 'LAST')
const firstAt = column('first_at', 'time')
/** The record that a row can be proven by. */
const record: readonly AnswerColumn[] = [
  column('record', 'record'),
  column('shard', 'number'),
  column('index', 'number'),
]
const policy: readonly AnswerColumn[] = [column('bundle', 'text'), column('revision', 'text', 'REVISION')]
const howItWent: readonly AnswerColumn[] = [
  column('errors', 'count'),
  column('mean_ms', 'ms'),
  firstAt,
  lastAt,
  ...record,
]
const verdict: readonly AnswerColumn[] = [column('verdict', 'text', 'VERDICT'), column('code', 'text')]
const paths = column('paths', 'text', 'PATHS')

export const questions: readonly CannedQuestion[] = [
  {
    name: 'who-accessed',
    asks: 'Who accessed X: caller, operation, decision and policy revision',
    about: 'target',
    takes: ['direction'],
    since: '7d',
    columns: [caller, column('target', 'id'), method, paths, ...verdict, ...policy, decisions, ...howItWent],
  },
  {
    name: 'touched-by',
    asks: 'What did caller X touch: target, operation, decision and policy revision',
    about: 'caller',
    takes: ['direction'],
    since: '7d',
    columns: [column('caller', 'id'), target, method, paths, ...verdict, ...policy, decisions, ...howItWent],
  },
  {
    name: 'denied-spikes',
    asks: 'Where are more calls denied in an hour than usual for that hour of the week',
    takes: ['atLeast', 'over'],
    since: '24h',
    columns: [
      column('hour', 'time', 'HOUR'),
      caller,
      target,
      column('denied', 'count', 'DENIED'),
      column('decisions', 'count', 'OF'),
      column('usual', 'number', 'USUAL'),
      column('spread', 'number'),
      column('score', 'number', 'SCORE'),
      column('baseline', 'text', 'BASELINE'),
      column('samples', 'count'),
      ...record,
    ],
  },
  {
    name: 'first-seen',
    asks: 'Who called what for the first time',
    takes: [],
    since: '24h',
    columns: [
      column('first_at', 'time', 'FIRST'),
      caller,
      target,
      method,
      decisions,
      column('refused', 'count', 'REFUSED'),
      ...record,
    ],
  },
  {
    name: 'moved-callers',
    asks: 'Which callers ask for other things than they used to',
    takes: ['beforeMs', 'atLeast', 'over'],
    since: '24h',
    columns: [
      caller,
      column('divergence', 'number', 'MOVED'),
      decisions,
      column('decisions_before', 'count', 'BEFORE'),
      column('target', 'id', 'MOST: TARGET'),
      method,
      column('share', 'share', 'SHARE'),
      column('share_before', 'share', 'WAS'),
      column('last_at', 'time'),
      ...record,
    ],
  },
  {
    name: 'unidentified',
    asks: 'What passed without a verified identity; there should be nothing',
    takes: [],
    since: '30d',
    columns: [
      target,
      method,
      column('code', 'text', 'CODE'),
      column('bundle', 'text', 'BUNDLE'),
      ...policy.slice(1),
      decisions,
      firstAt,
      lastAt,
      ...record,
    ],
  },
  {
    name: 'revisions',
    asks: 'How each revision of each policy decided',
    takes: [],
    since: '30d',
    columns: [
      column('bundle', 'text', 'BUNDLE'),
      column('revision', 'text', 'REVISION'),
      column('sha256', 'text'),
      decisions,
      column('allowed', 'count', 'ALLOWED'),
      column('denied', 'count', 'DENIED'),
      column('faults', 'count', 'FAULTS'),
      firstAt,
      lastAt,
      ...record,
    ],
  },
  {
    name: 'unused-grants',
    asks: 'Which grants of a policy were not used, or only in part',
    takes: ['bundle', 'caller', 'rules'],
    since: '30d',
    columns: [
      column('grant', 'text', 'GRANT'),
      column('use', 'text', 'USE'),
      column('at', 'text', 'IN THE DATA'),
      column('decisions', 'count'),
      lastAt,
      ...record,
    ],
  },
  {
    name: 'certificates',
    asks: 'How old certificates are in use, how long they still last, who else used one',
    takes: [],
    since: '24h',
    columns: [
      caller,
      column('serial', 'text', 'SERIAL'),
      column('oldest', 'span', 'OLDEST'),
      column('remaining', 'span', 'LEFT'),
      column('lifetime', 'span'),
      column('addresses', 'count', 'FROM'),
      column('callers', 'count', 'CALLERS'),
      column('issued', 'text', 'ISSUED'),
      lastAt,
      ...record,
    ],
  },
  {
    name: 'completeness',
    asks: 'What is missing, was left out, came late, or bears a wrong time',
    takes: [],
    since: '24h',
    columns: [
      column('what', 'text', 'WHAT'),
      column('producer', 'id', 'PRODUCER'),
      column('count', 'count', 'COUNT'),
      column('detail', 'text', 'DETAIL'),
      column('at', 'time', 'AT'),
      ...record,
    ],
  },
]

export const defaultRows = 100
const maxText = 2048
const maxRules = 100

/** Reads what is asked from `name=value` pairs, as in a query string. Throws `usage` and `not_found`. */
export function readAsked(name: string, pairs: Iterable<readonly [string, string]>, nowMs: number): Asked {
  const question = questions.find((known) => known.name === name)
  if (!question) {
    throw new WritError('not_found', `there is no question ${JSON.stringify(name)}`, {
      cure: `one of ${questions.map((known) => known.name).join(', ')}`,
    })
  }
  const read: { -readonly [Member in keyof Asked]?: Asked[Member] } = {}
  for (const [option, value] of pairs) {
    if (value === '') continue
    if (value.length > maxText) throw usage(`${option} takes at most ${maxText} characters`)
    if (option === 'about' && question.about) read.about = value
    else if (option === 'since') read.fromMs = parseMoment(value, nowMs, 'since')
    else if (option === 'until') read.toMs = parseMoment(value, nowMs, 'until')
    else if (option === 'limit') read.limit = whole(option, value, maxLimit)
    else if (option === 'direction' && takes(question, 'direction')) read.direction = directionOf(value)
    else if (option === 'at-least' && takes(question, 'atLeast')) read.atLeast = whole(option, value, 1e9)
    else if (option === 'over' && takes(question, 'over')) read.over = positive(option, value)
    else if (option === 'before' && takes(question, 'beforeMs')) read.beforeMs = spanOf(option, value)
    else if (option === 'bundle' && takes(question, 'bundle')) read.bundle = value
    else if (option === 'caller' && takes(question, 'caller')) read.caller = value
    else if (option === 'rule' && takes(question, 'rules')) {
      read.rules = [...(read.rules ?? []), value]
      if (read.rules.length > maxRules) throw usage(`rule is given at most ${maxRules} times`)
    } else throw usage(`the question ${name} takes no ${option}`)
  }
  if (question.about && read.about === undefined) throw usage(`the question ${name} is about a ${question.about}`)
  const { fromMs = parseMoment(question.since, nowMs, 'since'), toMs = nowMs, limit = defaultRows } = read
  if (fromMs >= toMs) throw usage('since is not before until')
  return { ...read, question, fromMs, toMs, limit }
}

const takes = ({ takes: options }: CannedQuestion, option: keyof Options): boolean => options.includes(option)

function directionOf(text: string): Options['direction'] {
  const found = [...directions, 'any' as const].find((known) => known === text)
  if (!found) throw usage('direction is one of inbound, outbound, any')
  return found
}

function whole(name: string, text: string, most: number): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < 1 || value > most) throw usage(`${name} takes a number from 1 to ${most}`)
  return value
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (!/^\d{1,6}(?:\.\d{1,6})?$/.test(text)) throw usage(`${name} takes a number such as 0.1 or 4`)
  return value
}

function spanOf(name: string, text: string): number {
  const span = parseSpan(text)
  if (span === undefined) throw usage(`${name} takes a span such as 7d`)
  return span
}

const usage = (message: string): WritError =>
  new WritError('usage', message, { cure: 'see `writ audit ask` and `writ audit ask NAME --help`' })
