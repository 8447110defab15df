/** OPA's REST API as a process: the policies of a folder, a token, a decision log, and the door that answers. */

import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { makeExposition } from '../../control/exposition.ts'
import { openDecisionFile } from '../../control/node/decision-file.ts'
import { type DecisionSender, decisionSender } from '../../control/node/decision-sender.ts'
import { makeCompile } from '../../control/node/rego-compile.ts'
import { entrypointsOf } from '../../control/node/rego-data.ts'
import { openRegoDoor } from '../../control/node/rego-door.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import { openOpa } from '../../engine/node/opa.ts'
import { loadBundle, readPolicyFolder } from '../../engine/node/open.ts'
import type { Policy } from '../../engine/policy.ts'
import { until } from '../signals.ts'
import { version } from '../version.ts'
import { openClock } from './machine.ts'

export interface ServeFlags {
  readonly policies: string
  readonly bundleName: readonly string[]
  readonly listen: { readonly address: string; readonly port: number }
  readonly tokenFile?: string
  readonly defaultDecision: string
  readonly compile?: boolean
  readonly decisionLog?: string
  readonly decisionLogMaxBytes: number
  readonly collector?: string
  readonly collectorTokenFile?: string
  readonly collectorCa?: string
  readonly maxBody: number
}

export async function serve(flags: ServeFlags): Promise<void> {
  const stop = until('SIGINT', 'SIGTERM')
  const now = openClock()
  const policies = await openAll(flags, now)
  const token = flags.tokenFile === undefined ? undefined : await readSecret(flags.tokenFile)
  const say = (line: string): void => void process.stderr.write(`${line}\n`)
  const warn = oncePerText(say)
  const collector = await openCollector(flags, warn)
  const opa = flags.compile ? await openOpa({ env: process.env, say }) : undefined
  const file =
    flags.decisionLog === undefined
      ? undefined
      : await openDecisionFile(flags.decisionLog, { maxBytes: flags.decisionLogMaxBytes })
  try {
    const door = await openRegoDoor(
      {
        policies,
        now,
        newId: randomUUID,
        numbers: makeExposition(),
        keep: keepIn(
          [file, collector].filter((it) => it !== undefined),
          warn,
        ),
        labels: { id: randomUUID(), version },
        token,
        defaultDecision: flags.defaultDecision,
        compile: opa && makeCompile(opa),
        warn,
        unexpected: (thrown) => say(`error internal: ${messageOf(thrown)}`),
      },
      { ...flags.listen, maxBodyBytes: flags.maxBody },
    )
    const host = door.address.includes(':') ? `[${door.address}]` : door.address
    process.stdout.write(`serving    http://${host}:${door.port}/v1/data\n`)
    for (const entrypoint of entrypointsOf(policies)) process.stdout.write(`rule       ${entrypoint}\n`)
    await stop.wait()
    await door.close()
  } finally {
    await file?.close()
  }
}

type Keeper = Pick<DecisionSender, 'keep'>

/** Everywhere, or it is not answered. What stands in the way is said here; who asked learns only that it does. */
function keepIn(keepers: readonly Keeper[], warn: (text: string) => void): Keeper['keep'] | undefined {
  if (keepers.length === 0) return undefined
  return async (event) => {
    for (const keeper of keepers) {
      await keeper.keep(event).catch((thrown: unknown) => {
        const cause = thrown instanceof Error ? thrown.cause : undefined
        warn(cause === undefined ? messageOf(thrown) : `${messageOf(thrown)}: ${messageOf(cause)}`)
        throw thrown
      })
    }
  }
}

/** A token that the collector does not take ends the command; a collector that is away is waited for with 503. */
async function openCollector(flags: ServeFlags, warn: (text: string) => void): Promise<DecisionSender | undefined> {
  const { collector: url, collectorTokenFile, collectorCa } = flags
  if (url === undefined) {
    if (collectorTokenFile === undefined && collectorCa === undefined) return undefined
    throw new WritError('usage', 'a token or certificates for a collector, and no --collector', {
      cure: 'say where it is with --collector URL',
    })
  }
  if (collectorTokenFile === undefined) {
    throw new WritError('usage', '--collector takes a token', {
      cure: 'make one with writ token NAME --logs, and give it with --collector-token-file',
    })
  }
  const token = await readSecret(collectorTokenFile)
  const ca = collectorCa === undefined ? undefined : await readText(collectorCa, 'the certificates')
  const sender = decisionSender({ url, token, ca })
  await sender.check().catch((thrown: unknown) => {
    if (thrown instanceof WritError && (thrown.code === 'unauthorized' || thrown.code === 'forbidden')) throw thrown
    warn(`the collector ${url} does not answer, and until it does neither does this: ${messageOf(thrown)}`)
  })
  return sender
}

async function openAll({ policies, bundleName }: ServeFlags, now: () => bigint): Promise<readonly Policy[]> {
  const found = await readPolicyFolder(policies)
  const lacking = bundleName.find((name) => !found.some(({ ref }) => ref.bundle === name))
  const wanted = found.filter(({ ref }) => bundleName.length === 0 || bundleName.includes(ref.bundle))
  if (lacking !== undefined || wanted.length === 0) {
    throw new WritError('not_found', `${policies} holds no bundle${lacking === undefined ? '' : ` ${lacking}`}`, {
      cure: `build them with: writ policy build ${policies}`,
    })
  }
  return Promise.all(wanted.map(({ ref, bytes }) => loadBundle(bytes, ref.bundle, { now })))
}

const readText = (file: string, what: string): Promise<string> =>
  readFile(file, 'utf8').catch((cause: unknown) => {
    throw new WritError('not_found', `${what} ${file} cannot be read: ${messageOf(cause)}`, { cause })
  })

/** Shorter ones can be guessed. */
const minSecret = 16

async function readSecret(file: string): Promise<string> {
  const secret = (await readText(file, 'the token')).trim()
  if (/^[\x21-\x7e]{16,1024}$/.test(secret)) return secret
  throw new WritError('config_invalid', `${file} holds no token: ${minSecret} to 1024 visible characters`, {
    cure: 'make one with: head -c 32 /dev/urandom | base64',
  })
}

/** Callers choose the paths: each is said once, and not more than a hundred. */
function oncePerText(say: (line: string) => void): (text: string) => void {
  const said = new Set<string>()
  return (text) => {
    if (said.size >= 100 || said.has(text)) return
    said.add(text)
    say(`warn: ${text.replace(/[^\x20-\x7e]/g, '?').slice(0, 512)}`)
  }
}
