/** Three roles of PostgreSQL beside the tables' owner, so that who writes the ledger can change nothing in it. */

import { WritError } from '../../core/fault.ts'

export interface Roles {
  /** The auditor's: it adds. */
  readonly writer: string
  /** Who asks questions. */
  readonly reader: string
  /** Removes chunks that the log folder has for good. */
  readonly maintenance: string
}

export const defaultRoles: Roles = { writer: 'writ_writer', reader: 'writ_reader', maintenance: 'writ_maintenance' }

/** What is only ever added to. */
const ledger = [
  ...['chunks', 'batches', 'spans', 'announced', 'others', 'rows', 'ends', 'runs', 'names', 'shapes', 'peers'],
  'erased_keys',
]
/** Where producers stand, and what was added up: made again from the ledger where it is wrong. */
const standing = [
  'epochs',
  'gaps',
  'offsets',
  'checkpoints',
  'rollups',
  'rollup_days',
  'rollup_peers',
  'rolled',
  'logs',
  'orders',
  'disclosures',
  'reconciled',
  'lost_spools',
]
/** What the auditor knows of findings, and those that are still to be sent. */
const findings = [
  'edges_first_seen',
  'finding_hours',
  'finding_mix',
  'finding_cursors',
  'findings',
  'finding_deliveries',
  'finding_counts',
]

/** SQL for the owner of the tables, to be run after each upgrade; it may be run again and again. */
export function grantsOf({ writer, reader, maintenance }: Roles, schema: string = 'public'): readonly string[] {
  const names = [writer, reader, maintenance]
  for (const name of [...names, schema]) {
    if (!/^[a-z_][a-z0-9_]{0,62}$/.test(name)) throw new WritError('usage', `${name} is no name for a role or schema`)
  }
  const all = names.join(', ')
  return [
    ...names.map(
      (name) =>
        `do $$ begin create role ${name} login; exception when duplicate_object or unique_violation then null; end $$`,
    ),
    `revoke all on all tables in schema ${schema} from ${all}`,
    `revoke create on schema ${schema} from public`,
    `revoke execute on function ${schema}.writ_partitions(integer), ${schema}.writ_summarise() from public`,
    `grant usage on schema ${schema} to ${all}`,
    `grant select on all tables in schema ${schema} to ${all}`,
    `grant insert on ${[...ledger, ...standing].map((table) => `${schema}.${table}`).join(', ')} to ${writer}`,
    `grant update on ${standing.map((table) => `${schema}.${table}`).join(', ')} to ${writer}`,
    `grant insert, update, delete on ${findings.map((table) => `${schema}.${table}`).join(', ')} to ${writer}`,
    `grant delete on ${schema}.gaps to ${writer}`, // What is left of a gap that was closed in part stands in its place.
    `grant execute on function ${schema}.writ_partitions(integer), ${schema}.writ_summarise() to ${writer}`,
    `grant delete on ${schema}.chunks to ${maintenance}`,
  ]
}
