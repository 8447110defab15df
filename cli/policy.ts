/** `writ policy`: what the author of a policy does with it, from a line of Rego to what it would change. */

import { Command } from 'commander'
import { benchCommand } from './policy-bench.ts'
import { buildCommand } from './policy-build.ts'
import { checkCommand } from './policy-check.ts'
import { docsCommand } from './policy-docs.ts'
import { evalCommand } from './policy-eval.ts'
import { fmtCommand } from './policy-fmt.ts'
import { impactCommand } from './policy-impact.ts'
import { initCommand } from './policy-init.ts'
import { lintCommand } from './policy-lint.ts'
import { rollbackCommand } from './policy-rollback.ts'
import { serveCommand } from './policy-serve.ts'
import { suggestCommand } from './policy-suggest.ts'
import { testCommand } from './policy-test.ts'
import { trialCommand } from './policy-trial.ts'

export function policyCommand(): Command {
  const command = new Command('policy').description(
    'compile Rego policies into bundles, test them, and see what they would decide',
  )
  const commands = [
    initCommand,
    buildCommand,
    checkCommand,
    lintCommand,
    fmtCommand,
    testCommand,
    evalCommand,
    benchCommand,
    impactCommand,
    trialCommand,
    suggestCommand,
    serveCommand,
    docsCommand,
    rollbackCommand,
  ]
  for (const make of commands) command.addCommand(make())
  return command
}
