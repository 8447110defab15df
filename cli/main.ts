/** The command `writ`: names its subcommands, runs one, and turns whatever it throws into one clear line. */

import { Command, CommanderError } from 'commander'
import { exitCodeOf, printFault } from './fault.ts'
import { quietProcess } from './quiet.ts'
import { version } from './version.ts'

/** Each is read only when it is asked for: `writ token` answers before the modules of a whole mesh would be read. */
const commands: Readonly<Record<string, (sub: string) => Promise<Command>>> = {
  up: async () => (await import('./up.ts')).upCommand(),
  control: async () => (await import('./control.ts')).controlCommand(),
  proxy: async () => (await import('./proxy.ts')).proxyCommand(),
  agent: async () => (await import('./agent.ts')).agentCommand(),
  auditor: async () => (await import('./auditor.ts')).auditorCommand(),
  signer: async () => (await import('./signer.ts')).signerCommand(),
  witness: async () => (await import('./witness.ts')).witnessCommand(),
  audit: async (sub) => (await import('./audit.ts')).auditCommand(sub),
  explain: async () => (await import('./explain.ts')).explainCommand(),
  report: async () => (await import('./report.ts')).reportCommand(),
  policy: async () => (await import('./policy.ts')).policyCommand(),
  check: async () => (await import('./check.ts')).checkCommand(),
  schema: async () => (await import('./schema.ts')).schemaCommand(),
  status: async () => (await import('./status.ts')).statusCommand(),
  tap: async () => (await import('./tap.ts')).tapCommand(),
  quarantine: async () => (await import('./quarantine.ts')).quarantineCommand(),
  token: async () => (await import('./token.ts')).tokenCommand(),
  ca: async () => (await import('./ca.ts')).caCommand(),
  entry: async () => (await import('./entry.ts')).entryCommand(),
  svid: async (sub) => (await import('./svid.ts')).svidCommand(sub),
  kafka: async () => (await import('./kafka.ts')).kafkaCommand(),
  launch: async () => (await import('./launch.ts')).launchCommand(),
  capture: async () => (await import('./capture.ts')).captureCommand(),
  bank: async () => (await import('./bank.ts')).bankCommand(),
  tour: async () => (await import('./tour.ts')).tourCommand(),
}

/** With all its commands, or with the one that is named, and of that perhaps only the one that `sub` names. */
export async function program(named = '', sub = ''): Promise<Command> {
  const root = new Command('writ')
    .description(
      'Proves who is calling, asks a Rego policy, and keeps every answer in a log nobody can quietly change.',
    )
    .version(version)
    .showHelpAfterError('  cure: run it with --help to see what it takes')
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'error usage: ')) })
    .exitOverride()
    .enablePositionalOptions() // What stands after a command is the command's.
  const wanted = Object.hasOwn(commands, named) ? [commands[named]!] : Object.values(commands)
  for (const command of await Promise.all(wanted.map((read) => read(sub)))) root.addCommand(command)
  inherit(root)
  return root
}

/** Subcommands speak as their parent does, and throw instead of exiting, so that one place decides on exit codes. */
function inherit(parent: Command): void {
  for (const command of parent.commands) {
    command.copyInheritedSettings(parent).exitOverride()
    // It has options of its own and subcommands, and would take theirs that have the same names.
    command.enablePositionalOptions(command.name() === 'report')
    inherit(command)
  }
}

/** Runs what the arguments name; never rejects. The exit code is left in `process.exitCode`. */
export async function run(argv: readonly string[]): Promise<void> {
  quietProcess()
  try {
    await (await program(argv[2], argv[3])).parseAsync([...argv])
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
