/** The command `writ`: names its subcommands, runs one, and turns whatever it throws into one clear line. */

import { Command, CommanderError } from 'commander'
import { auditCommand } from './audit.ts'
import { auditorCommand } from './auditor.ts'
import { bankCommand } from './bank.ts'
import { checkCommand } from './check.ts'
import { controlCommand } from './control.ts'
import { exitCodeOf, printFault } from './fault.ts'
import { kafkaCommand } from './kafka.ts'
import { policyCommand } from './policy.ts'
import { proxyCommand } from './proxy.ts'
import { quietProcess } from './quiet.ts'
import { reportCommand } from './report.ts'
import { schemaCommand } from './schema.ts'
import { statusCommand } from './status.ts'
import { svidCommand } from './svid.ts'
import { tokenCommand } from './token.ts'
import { tourCommand } from './tour.ts'
import { upCommand } from './up.ts'
import { version } from './version.ts'

export function program(): Command {
  const root = new Command('writ')
    .description(
      'Proves who is calling, asks a Rego policy, and keeps every answer in a log nobody can quietly change.',
    )
    .version(version)
    .showHelpAfterError('  cure: run it with --help to see what it takes')
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'error usage: ')) })
    .exitOverride()
  for (const command of [
    upCommand(),
    controlCommand(),
    proxyCommand(),
    auditorCommand(),
    auditCommand(),
    reportCommand(),
    policyCommand(),
    checkCommand(),
    schemaCommand(),
    statusCommand(),
    tokenCommand(),
    svidCommand(),
    kafkaCommand(),
    bankCommand(),
    tourCommand(),
  ]) {
    root.addCommand(command)
  }
  inherit(root)
  return root
}

/** Subcommands speak as their parent does, and throw instead of exiting, so that one place decides on exit codes. */
function inherit(parent: Command): void {
  for (const command of parent.commands) {
    command.copyInheritedSettings(parent).exitOverride()
    inherit(command)
  }
}

/** Runs what the arguments name; never rejects. The exit code is left in `process.exitCode`. */
export async function run(argv: readonly string[]): Promise<void> {
  quietProcess()
  try {
    await program().parseAsync([...argv])
  } catch (thrown) {
    // Commander has printed its own message; help and version are no errors.
    if (thrown instanceof CommanderError) process.exitCode = thrown.exitCode === 0 ? 0 : 2
    else {
      printFault(thrown)
      process.exitCode = exitCodeOf(thrown)
    }
  }
}

if (import.meta.main) await run(process.argv)
