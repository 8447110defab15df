/** A recorded decision in plain words. */

import type { DecisionRow } from '../../audit/query/answer.ts'
import { sealedTexts, shownField } from '../../audit/query/sealed.ts'
import { cut, shortId, visible } from '../../audit/query/table.ts'
import type { Recalled } from '../../audit/replay/recorded.ts'
import { isObject } from '../../core/json.ts'
import type { Found } from './find.ts'
import type { Retraced, TriedLine } from './tried.ts'
import type { Seen, Wanted } from './wanted.ts'

const maxLines = 40
const maxText = 100
const maxValue = 160

export function explanationText(found: Found, recalled: Recalled, retraced: Retraced | undefined): string {
  const { event, row } = found
  const facts: readonly (readonly [string, string])[] = [
    ['when', `${row.time.slice(0, 23).replace('T', ' ')} UTC`],
    ['caller', row.caller ?? 'proved no name'],
    ...provedBy(found),
    ['target', [row.target ?? '-', row.service && `service ${row.service}`, event.listener].filter(Boolean).join(', ')],
    ['answer', `${row.verdict} ${row.code}${row.enforced ? '' : ', on trial: it changed nothing'}`],
    ['made by', madeByText(found)],
    ...trialOf(found),
    ...dataOf(found),
    ...row.reasons.map((reason) => ['reason', reason] as const),
    ['outcome', outcomeText(found)],
    ['request', [row.requestId, row.traceId && `trace ${row.traceId}`].filter(Boolean).join(', ') || '-'],
    ['leaf', `${row.index} of log ${row.shard}, hash ${found.hash.slice(0, 16)}…`],
    ['proof', proofText(found)],
    ...sealedTexts(row).map((text) => ['sealed', text] as const),
    ['not kept', notKeptText(recalled)],
  ]
  const lines = facts.map(([name, text]) => `  ${name.padEnd(8)}  ${visible(text)}`)
  return [titleOf(found), ...lines, ...retracedLines(retraced, row.verdict), ''].join('\n')
}

function titleOf({ row }: Found): string {
  const request =
    [row.method, row.path ?? shownField(row, 'path')].filter(Boolean).join(' ') || 'a request that could not be read'
  const caller = shortId(row.caller) ?? 'somebody without identity'
  return visible(`${caller} asked ${shortId(row.target) ?? '-'} for ${request}: ${wordOf(row)}`)
}

/** An outbound listener judges nothing. */
const wordOf = ({ verdict, code }: DecisionRow): string =>
  code === 'fault_passed'
    ? 'let through, though nobody could tell'
    : code === 'routed'
      ? 'passed on, to be judged where it arrives'
      : (words[verdict] ?? verdict)

const words: Readonly<Record<string, string>> = {
  allow: 'allowed',
  deny: 'denied',
  fault: 'refused, for nobody could tell',
}

/** A record's body was written by others: what has not the form that ours have is not shown. */
function provedBy({ event }: Found): readonly (readonly [string, string])[] {
  const peer: unknown = event.peer
  if (!isObject(peer)) return []
  const { proof, serial, not_after: until } = peer
  if (typeof proof !== 'string' || typeof serial !== 'string' || typeof until !== 'string') return []
  return [['proved', `by ${proof} ${serial}, valid to ${until.slice(0, 19)}Z`]]
}

/** On trial, or in place of one that was; likewise shown only in the form that ours have. */
function trialOf({ event }: Found): readonly (readonly [string, string])[] {
  const trial: unknown = event.trial
  if (!isObject(trial)) return []
  const { name, mode, of, enforced_verdict: verdict } = trial
  const beside = typeof of === 'string' ? `, beside ${of}${typeof verdict === 'string' ? ` (${verdict})` : ''}` : ''
  return [['trial', `${mode} of ${name}${beside}`]]
}

function madeByText({ event, row }: Found): string {
  if (row.code === 'fault_passed') return `its binding, which lets pass what ${row.bundle ?? 'no policy'} cannot judge`
  if (row.by !== 'policy' || row.bundle === null) return 'the proxy, before any policy was asked'
  return `rule ${event.path ?? '?'} of ${row.bundle}, revision ${row.revision ?? '?'}`
}

/** Data beside the rules, of which a record of ours names every version. */
function dataOf({ event }: Found): readonly (readonly [string, string])[] {
  const data: unknown = event.data
  if (!isObject(data)) return []
  return Object.entries(data).flatMap(([name, of]) => {
    const { revision, age_s: age } = isObject(of) ? of : {}
    if (typeof revision !== 'string') return []
    const old = typeof age === 'number' ? `${age} s old` : 'of an age that nobody had said'
    return [['data', `${name} revision ${revision}, ${old}`] as const]
  })
}

function outcomeText({ row }: Found): string {
  if (row.outcome === null) return 'not known (yet)'
  const ms = row.durationUs === null ? '?' : (row.durationUs / 1000).toFixed(1)
  const tried = row.attempts?.length ? `, after in vain ${row.attempts.join(', ')}` : ''
  const stopped = row.stopped === null ? '' : `, not tried again: ${row.stopped}`
  return `${row.outcome} with status ${row.status} after ${ms} ms${row.upstream ? `, from ${row.upstream}` : ''}${tried}${stopped}`
}

function proofText({ row, size }: Found): string {
  const over = size === undefined ? '' : ` over ${size} leaves`
  const covered = row.covered ? `covered by the signed checkpoint${over}` : 'not yet covered by a signed checkpoint'
  return `${covered}; ${row.attested ? 'its producer signed for it' : 'its producer has not yet signed for it'}`
}

/** What no record shows cannot be told from what was never sent. */
function notKeptText(recalled: Recalled): string {
  if (recalled.kind === 'oversize') return `the whole input of ${recalled.bytes} bytes: it was too long for a record`
  if (recalled.kind === 'unreadable') return `cannot be told: the record cannot be read at ${recalled.member}`
  const { head } = recalled.facts
  if (!head) return 'the request: its head could not be read'
  const kept = Object.keys(head.headers)
  const headers = kept.length === 0 ? 'headers, if there were any' : `headers other than ${kept.join(', ')}`
  const body = recalled.body && !recalled.body.empty ? '; of the body, what its binding does not name' : ''
  return `${recalled.showsQuery ? '' : 'the query, if there was one; '}${headers}${body}`
}

function retracedLines(retraced: Retraced | undefined, verdict: string): readonly string[] {
  if (!retraced) return []
  if (retraced.kind === 'none') return ['', `The lines that were tried cannot be shown: ${retraced.why}.`]
  const { folder, held, failed, wanted, allowed } = retraced
  const lines: string[] = []
  if (held.length > 0) lines.push('', `What held in ${folder}:`, ...linesText(held))
  if (failed.length > 0) lines.push('', `What was tried in ${folder} and did not hold:`, ...linesText(failed))
  if (wanted.length > 0 && verdict !== 'allow') {
    lines.push('', 'For it to pass, one of these would have to hold, with all that stands after it in its rule:')
    lines.push(...wantedText(wanted))
  }
  if (allowed !== (verdict === 'allow')) {
    const says = allowed === undefined ? 'no answer' : allowed ? 'allow' : 'deny'
    lines.push('', `With what was recorded opa says ${says}: a fact that was not kept, or a limit, made the decision.`)
  }
  return lines
}

function linesText(lines: readonly TriedLine[]): readonly string[] {
  const shown = lines.slice(0, maxLines)
  const places = shown.map(({ file, row }) => `${file}:${row}`)
  const width = Math.max(...places.map((place) => place.length))
  const texts = shown.map(({ text, times }, i) => {
    const often = times > 1 ? `  (${times} times)` : ''
    return `  ${places[i]!.padEnd(width)}  ${cut(visible(text), maxText)}${often}`
  })
  return lines.length > maxLines ? [...texts, `  and ${lines.length - maxLines} more: --json has them`] : texts
}

function wantedText(wanted: readonly Wanted[]): readonly string[] {
  const lines = wanted.slice(0, maxLines).flatMap(({ file, row, text, depth, saw, nearest }) => {
    const indent = '  '.repeat(depth + 1)
    const line = `${indent}${depth > 0 ? 'for ' : ''}${file}:${row}  ${cut(visible(text), maxText)}${saw.length > 0 ? `: ${seenText(saw)}` : ''}`
    if (!nearest) return [line]
    return [line, `${indent}  nearest of ${nearest.of} tried: ${seenText(nearest.values)}`]
  })
  return wanted.length > maxLines ? [...lines, `  and ${wanted.length - maxLines} more: --json has them`] : lines
}

const seenText = (seen: readonly Seen[]): string => seen.map(oneSeen).join(', ')

function oneSeen({ name, value }: Seen): string {
  return `${visible(name)} was ${value === undefined ? 'undefined' : cut(visible(JSON.stringify(value)), maxValue)}`
}
