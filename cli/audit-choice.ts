/** The options by which the commands of `writ audit` choose decisions. */

import type { Command } from 'commander'
import { repeated } from './options.ts'

/** Their names, as a question to the log has them. */
export const chosenBy: readonly string[] = [
  'caller',
  'target',
  'verdict',
  'direction',
  'code',
  'method',
  'path',
  'since',
  'until',
  'revision',
  'origin',
  ...['reason', 'bundle', 'traceId', 'address', 'serial', 'producer', 'outcome', 'attempts', 'kind'],
]

/** Those that may be given more than once. */
export const chosenByEach: readonly string[] = ['claim', 'fact', 'not']

/** What was chosen, as `name=value` pairs of a question. */
export const chosen = (
  options: { readonly [name: string]: unknown },
  names: readonly string[] = chosenBy,
): [string, string][] => [
  ...names.flatMap((name): [string, string][] =>
    typeof options[name] === 'string' || typeof options[name] === 'number' ? [[name, String(options[name])]] : [],
  ),
  ...chosenByEach.flatMap((name) =>
    ((options[name] ?? []) as readonly string[]).map((one): [string, string] => [name, one]),
  ),
]

export const withChoice = (command: Command): Command =>
  command
    .option('--caller <id>', 'SPIFFE id of the caller, or the end of its path')
    .option('--target <id>', 'SPIFFE id of the target, the end of its path, or a service')
    .option('--verdict <verdict>', 'allow, deny or fault')
    .option('--direction <direction>', 'inbound or outbound; a call leaves a record on each side')
    .option('--code <code>', 'reason code, such as policy_denied')
    .option('--method <method>', 'HTTP method')
    .option('--path <prefix>', 'what the path begins with')
    .option('--since <time>', 'not before: 15m, 7d or an RFC 3339 time')
    .option('--until <time>', 'only before: likewise')
    .option('--revision <revision>', 'revision of the policy that decided')
    .option('--origin <origin>', 'whose: mesh (the default), opa for those that OPA servers sent, or any')
    .option('--reason <text>', 'what a reason of a denial says, in part')
    .option('--bundle <name>', 'policy that decided')
    .option('--trace-id <id>', 'trace that it belongs to')
    .option('--address <ip>', "the peer's address")
    .option('--serial <serial>', "of the caller's certificate, hex")
    .option('--producer <id>', 'who wrote the record')
    .option('--outcome <outcome>', 'how it ended: completed, or an HTTP status such as 502')
    .option('--attempts <count>', 'sent in vain at least so often before it ended so')
    .option('--kind <kind>', 'records of another kind than decisions, such as issuance, or all')
    .option('--claim <name=value>', 'recorded claim of the token; looks into records', repeated, [])
    .option('--fact <path=value>', 'member of the record, such as input.attributes.request.http.host', repeated, [])
    .option('--not <name=value>', 'without those: caller=web, path=/health', repeated, [])
