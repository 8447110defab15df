/** An impact as people read it: a table for a terminal, Markdown for a pull request. */

import { cut, layTable, shortId, visible } from '../query/table.ts'
import type { FlipGroup, Impact, Unreplayed } from './impact.ts'

/** Groups that are shown; JSON has all that are kept. */
const maxShown = 50
const maxReason = 100

export function formatImpact(impact: Impact): string {
  const { candidate, groups } = impact
  const lines = [`candidate  ${candidate.bundle} revision ${candidate.revision}`, `replayed   ${replayedText(impact)}`]
  lines.push(`flips      ${flipsText(impact)}`)
  if (groups.length > 0) lines.push('', ...groupLines(impact))
  const notes = notesOf(impact)
  if (notes.length > 0) lines.push('', 'not replayed', ...notes.map((note) => `  ${note}`))
  return `${lines.join('\n')}\n`
}

/** What differs, as a table with the first reasons of each group below it. */
export function groupLines(found: Pick<Impact, 'groups' | 'omitted'>): readonly string[] {
  const shown = found.groups.slice(0, maxShown)
  const [head, ...rows] = layTable(columns, shown.map(cellsOf))
  const hidden = hiddenText(found)
  return [head!, ...rows.flatMap((row, i) => [row, ...reasonLines(shown[i]!)]), ...(hidden === '' ? [] : [hidden])]
}

const columns = [
  { title: 'COUNT', right: true },
  { title: 'WAS' },
  { title: 'WOULD BE', shrinksTo: 8 },
  { title: 'CALLER', shrinksTo: 8 },
  { title: 'TARGET', shrinksTo: 8 },
  { title: 'REQUEST', shrinksTo: 12 },
  { title: 'NEWEST' },
]

const cellsOf = (group: FlipGroup): readonly string[] => [
  String(group.count),
  group.was,
  wouldBeText(group),
  callerText(group),
  shortId(group.target) ?? '',
  requestText(group),
  group.examples[0]?.id ?? '',
]

const reasonLines = ({ examples }: FlipGroup): readonly string[] =>
  (examples[0]?.reasons ?? []).slice(0, 2).map((reason) => `         ${cut(visible(reason), maxReason)}`)

export function formatMarkdown(impact: Impact): string {
  const { candidate, groups } = impact
  const lines = [
    `### Policy impact: \`${codeText(candidate.bundle)}\` revision \`${codeText(candidate.revision)}\``,
    '',
    `**${flipsText(impact)}.** Replayed ${replayedText(impact)}.`,
  ]
  if (groups.length > 0) {
    lines.push(
      '',
      '| Count | Was | Would be | Caller | Target | Request | Newest |',
      '| ---: | --- | --- | --- | --- | --- | --- |',
    )
    for (const group of groups.slice(0, maxShown)) {
      const [count, ...rest] = cellsOf(group)
      lines.push(`| ${count} | ${rest.map((cell) => `\`${codeText(cell)}\``).join(' | ')} |`)
    }
    const hidden = hiddenText(impact)
    if (hidden !== '') lines.push('', hidden)
  }
  const notes = notesOf(impact)
  if (notes.length > 0)
    lines.push('', 'Not replayed:', '', ...notes.map((note) => `- ${note.replace(/[\\`*_<|[\]]/g, '\\$&')}`))
  return `${lines.join('\n')}\n`
}

/** Within backticks nothing is markup; a backtick would end them, and a bar the cell. */
const codeText = (text: string): string => visible(text).replaceAll('`', "'").replaceAll('|', '¦') || ' '

const wouldBeText = ({ wouldBe, code }: FlipGroup): string => (wouldBe === 'allow' ? 'allow' : `${wouldBe} ${code}`)

const callerText = ({ caller }: FlipGroup): string => shortId(caller) ?? '(no identity)'

const requestText = ({ method, shape }: FlipGroup): string => [method, shape].filter(Boolean).join(' ')

function replayedText({ decisions, replayed, revisions, oldest, newest }: Impact): string {
  if (decisions === 0) return '0 decisions: the log has none of this bundle in that time'
  const made = revisions.slice(0, 3).map(({ revision, decisions: count }) => `${revision} (${whole(count)})`)
  const more = revisions.length > 3 ? ` and ${revisions.length - 3} more` : ''
  const times = `${minute(oldest)} to ${minute(newest)}`
  return `${whole(replayed)} of ${decisionsText(decisions)}, ${times}, made by revision ${made.join(', ')}${more}`
}

function flipsText({ flips, replayed, groups, omitted }: Impact): string {
  if (flips === 0)
    return replayed === 0 ? 'none seen, for nothing was replayed' : `none: all ${whole(replayed)} verdicts stay`
  const kinds = new Map<string, number>()
  for (const { was, wouldBe, count } of groups) {
    const kind = `${was} → ${wouldBe}`
    kinds.set(kind, (kinds.get(kind) ?? 0) + count)
  }
  const parts = [...kinds].map(([kind, count]) => `${whole(count)} ${kind}`)
  if (omitted > 0) parts.push(`${whole(omitted)} not kept apart`)
  return `${whole(flips)} ${flips === 1 ? 'decision' : 'decisions'} would change: ${parts.join(', ')}`
}

function hiddenText({ groups, omitted }: Pick<Impact, 'groups' | 'omitted'>): string {
  const hidden = Math.max(0, groups.length - maxShown)
  const parts = hidden > 0 ? [`${whole(hidden)} more groups: --json has them`] : []
  if (omitted > 0)
    parts.push(`${whole(omitted)} flips in groups beyond the ${whole(groups.length)} that are kept apart`)
  return parts.join('; ')
}

function notesOf({ unreplayed, passedOver }: Impact): readonly string[] {
  const { byProxy, byOthers, shadow } = passedOver
  const notes = unreplayed.map((one) => `${decisionsText(one.count)}: ${obstacleText(one)}`)
  if (byProxy > 0) notes.push(`${decisionsText(byProxy)}: made by the proxy before any policy was asked`)
  if (byOthers > 0) notes.push(`${decisionsText(byOthers)}: made by other bundles`)
  if (shadow > 0) notes.push(`${decisionsText(shadow)}: made in shadow, where they changed nothing`)
  return notes
}

function obstacleText({ obstacle, what, examples }: Unreplayed): string {
  const like = examples[0] === undefined ? '' : ` (as ${examples[0]})`
  switch (obstacle) {
    case 'not_recorded':
      return `the candidate may read what was not recorded: ${visible(what)}${like}`
    case 'world':
      return `the candidate calls ${what}, whose answers no record holds`
    case 'oversize':
      return `the input was too long to be recorded${like}`
    case 'unreadable':
      return `the record cannot be read at ${visible(what)}${like}`
  }
}

const decisionsText = (count: number): string => `${whole(count)} ${count === 1 ? 'decision' : 'decisions'}`

const whole = (count: number): string => count.toLocaleString('en-US')

const minute = (time: string | null): string => (time ?? '').slice(0, 16).replace('T', ' ')
