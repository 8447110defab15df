/** The options by which the commands of `writ audit` choose decisions. */

import type { Command } from 'commander'

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
