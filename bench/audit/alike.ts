/** Questions that PostgreSQL and ClickHouse are both asked, in the same columns, and whether they say the same. */

export interface BothAsked {
  readonly name: string
  readonly postgres: string
  readonly clickhouse: string
  /** Whether there may be no answer; of the others, two that know nothing are no proof. */
  readonly mayBeNone?: true
}

const [since, until] = ['2020-01-01', '2100-01-01']
const args = `since = '${since} 00:00:00', until = '${until} 00:00:00'`
const range = `'${since}', '${until}'`
/** Microseconds, as PostgreSQL keeps them. */
const us = (...columns: readonly string[]) => ({
  postgres: columns.map((column) => `(extract(epoch from ${column}) * 1000000)::bigint::text`).join(', '),
  clickhouse: columns.map((column) => `toString(toUnixTimestamp64Micro(${column}))`).join(', '),
})
const both = us('first_at', 'last_at')
const operation = 'caller, target, method, verdict, code, bundle, revision, decisions::text'
const pair = (name: string, columns: string, times: ReturnType<typeof us>, from: readonly [string, string]) => ({
  name,
  postgres: `select ${columns}, ${times.postgres} from ${from[0]}`,
  clickhouse: `select ${columns.replaceAll(/(\w+)::text/g, 'toString($1)')}, ${times.clickhouse} from ${from[1]}`,
})

export const questionsOfBoth: readonly BothAsked[] = [
  pair('who accessed service-7', operation, both, [
    `writ_who_accessed('service-7', ${range})`,
    `writ.writ_who_accessed(name = 'service-7', ${args})`,
  ]),
  pair('what client-63 touched', operation, both, [
    `writ_touched_by('client-63', ${range})`,
    `writ.writ_touched_by(name = 'client-63', ${args})`,
  ]),
  {
    name: 'denials by hour, caller and target',
    postgres: `select (extract(epoch from hour)::bigint)::text, caller, target,
      sum(decisions) filter (where verdict in ('deny', 'fault'))::text, sum(decisions)::text
      from writ_counted_hours(${range}) group by hour, caller, target
      having sum(decisions) filter (where verdict in ('deny', 'fault')) > 0`,
    clickhouse: `select toString(toUnixTimestamp(hour)), caller, target, toString(denied), toString(decisions)
      from writ.writ_denials_by_hour(${args})`,
  },
  pair('edges first seen', 'caller, target, method, decisions::text, refused::text', us('first_at'), [
    `writ_first_seen_edges(${range})`,
    `writ.writ_first_seen_edges(${args})`,
  ]),
  {
    ...pair('allowed without an identity', 'target, method, code, bundle, revision, decisions::text', both, [
      `writ_unidentified_allows(${range})`,
      `writ.writ_unidentified_allows(${args})`,
    ]),
    mayBeNone: true,
  },
  pair(
    'decisions by policy revision',
    'bundle, revision, sha256, decisions::text, allowed::text, denied::text, faults::text',
    both,
    [`writ_policy_revisions(${range})`, `writ.writ_policy_revisions(${args})`],
  ),
  pair('edges that were used', 'caller, target, method, bundle, decisions::text', us('last_at'), [
    `writ_used_edges(${range})`,
    `writ.writ_used_edges(${args})`,
  ]),
  pair('certificates in use, and from where', 'caller, serial, source_address', us('last_at'), [
    `(select caller, serial, source_address, max(at) as last_at from writ_serials(${range}) group by 1, 2, 3) s`,
    `writ.writ_serials(${args})`,
  ]),
  {
    name: 'records of each epoch, and numbers that are missing',
    postgres: `select p.producer, p.epoch, p.records::text, coalesce((select sum(numbers) from writ_gaps g
      where g.epoch = p.epoch and g.closed_index is null), 0)::text, '0' from writ_producers p where p.producer not like '%/writ/auditor'`,
    clickhouse: `select producer, epoch, toString(records), toString(missing), toString(other_bytes) from writ.writ_epochs`,
  },
]

/** The first row that one has and the other has not, in whatever order they come. */
export function alike(
  ours: readonly (readonly unknown[])[],
  theirs: readonly (readonly unknown[])[],
): string | undefined {
  const [a, b] = [sorted(ours), sorted(theirs)]
  const at = a.findIndex((row, i) => row !== b[i])
  if (at < 0 && a.length === b.length) return undefined
  return `no: ${a.length} and ${b.length} rows; ${a[at] ?? 'none'} and ${b[at < 0 ? a.length : at] ?? 'none'}`
}

const sorted = (rows: readonly (readonly unknown[])[]): string[] =>
  rows.map((row) => JSON.stringify(row.map((cell) => String(cell ?? '')))).sort()
