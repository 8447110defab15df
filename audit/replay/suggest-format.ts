/** A suggestion as data for `writ.lib.edges`: YAML with what it rests on in comments, for a policy's data.yaml. */

import type { GrantUse } from './grants.ts'
import type { LeftOut, Suggestion } from './suggest.ts'

export function formatSuggestion(found: Suggestion, key: string, since: string): string {
  const { trustDomain, allowed, covered, oldest, newest, edges } = found
  const lines = [
    allowed === 0
      ? '# No allowed inbound decision in that time: there is nothing to suggest.'
      : `# Covers ${whole(covered)} of ${whole(allowed)} allowed inbound decisions, ${minute(oldest)} to ${minute(newest)}.`,
    '# It rests on methods and paths alone: what else a policy asks for, such as headers, no edge says.',
    ...notesOf(found).map((note) => `# ${note}`),
    `${JSON.stringify(key)}:`,
    `  "trust_domain": ${JSON.stringify(trustDomain)}`,
    edges.length === 0 ? '  "edges": []' : '  "edges":',
  ]
  for (const { from, to, method, path, count, last, examples } of edges) {
    const made = path.includes('{}') ? `, such as ${examples.map(visible).join(', ')}` : ''
    lines.push(`    # ${whole(count)} times, last ${minute(last)}${made}`)
    const members = Object.entries({ from, to, method, path }).map(([name, value]) => `"${name}": ${flow(value)}`)
    lines.push(`    - {${members.join(', ')}}`)
  }
  lines.push(...grantLines(found.grants, since))
  return `${lines.join('\n')}\n`
}

function grantLines(grants: readonly GrantUse[], since: string): readonly string[] {
  if (grants.length === 0) return []
  const unused = grants.filter(({ count }) => count === 0)
  if (unused.length === 0)
    return ['', `# All ${whole(grants.length)} grants of the policy's data were used since ${since}.`]
  return [
    '',
    `# Not used since ${since}, ${whole(unused.length)} of ${whole(grants.length)} grants of the policy's data:`,
    ...unused.map(({ at, text }) => `#   ${visible(text)}   (data.${visible(at)})`),
  ]
}

function notesOf({ leftOut, conflicts, unchecked }: Suggestion): readonly string[] {
  const notes = leftOut.map(
    ({ why, count, example }) => `Not covered, ${whole(count)}: ${whys[why]} (${visible(example)}).`,
  )
  for (const { from, to, method, path, refused, count } of conflicts) {
    const edge = visible(`${from} may ${method} /${path.join('/')} at ${to}`)
    notes.push(`Careful: ${edge} would allow ${whole(count)} that were refused, such as ${visible(refused)}.`)
  }
  if (unchecked > 0) notes.push(`Careful: ${whole(unchecked)} refusals were too many to be compared with the edges.`)
  return notes
}

const whys: Readonly<Record<LeftOut, string>> = {
  no_identity: 'the caller proved no name, so no edge can be from it',
  other_domain: 'the caller or its target is of another trust domain',
  unwritable: 'no pattern says that path and not others too',
  no_room: 'there were more kinds of requests than are kept apart',
  unreadable: 'the record does not show what was asked',
  not_http: 'the record shows no request',
}

/** YAML reads JSON; a space after colon and comma is how people write it. */
const flow = (value: string | readonly string[]): string =>
  typeof value === 'string' ? JSON.stringify(value) : `[${value.map((step) => JSON.stringify(step)).join(', ')}]`

/** Names and paths were made up by others: none ends the comment that it stands in. */
const visible = (text: string): string =>
  JSON.stringify(text)
    .slice(1, -1)
    .replace(/[\u007f-\u009f\u2028\u2029]/g, '?')

const whole = (count: number): string => count.toLocaleString('en-US')

const minute = (time: string | null): string => (time ?? '').slice(0, 16).replace('T', ' ')
