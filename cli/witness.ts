/** `writ witness`: cosigns what extends the logs that it knows. It belongs to somebody else than the log does. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { parse } from 'yaml'
import { z } from 'zod'
import { parseVerifierKey } from '../audit/log/note.ts'
import { openWitness, type WitnessedLog } from '../audit/node/witness.ts'
import { openWitnessDoor } from '../control/node/witness-door.ts'
import { messageOf, WritError } from '../core/fault.ts'
import { hostAndPort } from './options.ts'
import { until } from './signals.ts'
import { sha256 } from './wire/machine.ts'
import { printEvents } from './wire/telemetry.ts'

interface Options {
  readonly state: string
  readonly logs: string
  readonly name: string
  readonly key?: string
  readonly listen: { readonly address: string; readonly port: number }
}

export function witnessCommand(): Command {
  return new Command('witness')
    .description('run a witness: cosign checkpoints of the logs it knows, each only if it extends the last')
    .requiredOption('--logs <file>', 'YAML file of the logs: origin and verifier key of each')
    .requiredOption('--name <name>', 'name of the key in cosignatures, such as witness.example/w1')
    .option('--state <dir>', 'where the last checkpoints live; losing it is losing the witness', '.writ-witness')
    .option('--key <file>', 'file of the private key, made on the first run (default: witness.key in the state folder)')
    .option('--listen <host:port>', 'where logs submit checkpoints, in plain HTTP', hostAndPort, {
      address: '127.0.0.1',
      port: 7446,
    })
    .addHelpText(
      'after',
      `
The file of the logs:

  logs:
    - origin: bank.example/audit/0
      key: bank.example/audit+0a1b2c3d+...

The protocol is that of c2sp.org/tlog-witness, with Ed25519 cosignatures. Its public key is in <state>/witness.pub.`,
    )
    .action(run)
}

async function run(options: Options): Promise<void> {
  const onEvent = printEvents()
  const stop = until('SIGINT', 'SIGTERM')
  const witness = await openWitness({
    dir: options.state,
    keyFile: options.key ?? join(options.state, 'witness.key'),
    name: options.name,
    logs: readLogs(await readFile(options.logs, 'utf8'), options.logs),
    sha256,
    nowMs: Date.now,
    onEvent: ({ origin, size, file }) =>
      onEvent({
        level: 'error',
        from: 'witness',
        text: `${origin} signed two trees of ${size}${file === undefined ? '' : `; both are in ${file}`}`,
      }),
  })
  try {
    const unexpected = (thrown: unknown): void => onEvent({ level: 'error', from: 'door', text: messageOf(thrown) })
    const door = await openWitnessDoor(witness, options.listen, unexpected)
    process.stdout.write(`witness    ${door.url}\nkey        ${witness.verifierKey}\n`)
    await stop.wait()
    await door.close()
  } finally {
    await witness.close()
  }
}

const shape = z.strictObject({
  logs: z
    .array(z.strictObject({ origin: z.string().regex(/^[^\s+]{1,1024}$/u), key: z.string() }))
    .min(1)
    .max(1000),
})

/** Logs by origin; one with several keys stands there several times. Throws `config_invalid`. */
export function readLogs(text: string, file: string): readonly WitnessedLog[] {
  const wrong = (what: string): WritError =>
    new WritError('config_invalid', `${file}: ${what}`, {
      cure: 'it is a list `logs`, each with `origin` and `key`: <name>+<id>+<base64>, the log.pub of its auditor',
    })
  let value: unknown
  try {
    value = parse(text, { maxAliasCount: 0 })
  } catch (thrown) {
    throw wrong(messageOf(thrown))
  }
  const read = shape.safeParse(value)
  if (!read.success) {
    const issue = read.error.issues[0]!
    throw wrong(`${issue.path.map(String).join('.')}: ${issue.message}`)
  }
  const logs = new Map<string, WitnessedLog>()
  for (const { origin, key: keyText } of read.data.logs) {
    const key = parseVerifierKey(sha256, keyText)
    if (!key) throw wrong(`the key of ${origin} is no Ed25519 verifier key`)
    logs.set(origin, { origin, keys: [...(logs.get(origin)?.keys ?? []), key] })
  }
  return [...logs.values()]
}
