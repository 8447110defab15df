/** `writ explain`: one recorded decision in plain words, down to the lines of Rego that made it. */

import { Command } from 'commander'
import { type Recalled, recall } from '../audit/replay/recorded.ts'
import { policyInput } from '../core/input.ts'
import { isObject } from '../core/json.ts'
import { type Found, findDecision } from './explain/find.ts'
import { explanationText } from './explain/text.ts'
import { type Retraced, retrace } from './explain/tried.ts'

interface ExplainFlags {
  readonly state: string
  readonly database?: string
  readonly policies: string
  readonly json?: boolean
}

export function explainCommand(): Command {
  return new Command('explain')
    .description('say in plain words why one recorded decision was made')
    .argument('<id>', 'of a decision, as `writ audit query` prints it')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--database <url>', 'read this PostgreSQL instead')
    .option('--policies <dir>', 'folder of policies, for the lines of Rego that were tried', 'policies')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nThe lines that were tried take the Rego of the revision that decided, and OPA, which comes with the package.',
    )
    .action(explain)
}

async function explain(id: string, flags: ExplainFlags): Promise<void> {
  const found = await findDecision(id, flags)
  const recalled = recall(found.event)
  const retraced = await retracedOf(found, recalled, flags.policies)
  if (!flags.json) {
    process.stdout.write(explanationText(found, recalled, retraced))
    return
  }
  const { row, hash, event } = found
  const input = recalled.kind === 'facts' ? policyInput(recalled.facts) : null
  process.stdout.write(`${JSON.stringify({ row, hash, event, input, tried: retraced ?? null }, null, 2)}\n`)
}

/** Undefined where no policy was asked. */
async function retracedOf({ event, row }: Found, recalled: Recalled, policies: string): Promise<Retraced | undefined> {
  const { bundle, revision } = row
  if (row.by !== 'policy' || bundle === null || revision === null || typeof event.path !== 'string') return undefined
  if (recalled.kind !== 'facts') return { kind: 'none', why: 'the record does not hold the input' }
  const besides = isObject(event.data) ? Object.keys(event.data).join(', ') : ''
  if (besides !== '')
    return { kind: 'none', why: `the policy also read data that is not among its sources: ${besides}` }
  const world = isObject(event.nd_builtin_cache) ? Object.keys(event.nd_builtin_cache).join(', ') : ''
  if (world !== '' || event.nd_builtin_cache_dropped === true) {
    return {
      kind: 'none',
      why: `the world answered it (${world || 'more than a record holds'}), and may answer otherwise now`,
    }
  }
  return retrace({ bundle, revision }, event.path, recalled.facts, policies)
}
