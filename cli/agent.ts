/** `writ agent`: the SPIFFE Workload API of a host, and Envoy's secrets, for whatever runs there by registration entries. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command, Option } from 'commander'
import { attestNode, issueEntry, mintEntry } from '../ca/node/attest.ts'
import { certificatesOf, keyOf } from '../ca/node/pem.ts'
import { openIdentitySource } from '../ca/node/source.ts'
import { openAgent } from '../ca/node/workload/agent.ts'
import { unixAttestor } from '../ca/node/workload/attestor.ts'
import { openWorkloadDoor } from '../ca/node/workload/door.ts'
import { openCredentials } from '../ca/node/workload/peer.ts'
import { readTrust } from '../ca/wire.ts'
import { openProxyDoor } from '../control/node/proxy-door.ts'
import { messageOf, WritError } from '../core/fault.ts'
import type { TrustBundle } from '../core/identity.ts'
import { parseJson } from '../core/json.ts'
import { parseTrustDomain, spiffeId, type TrustDomain } from '../core/spiffe.ts'
import { hostAndPort } from './options.ts'
import { until } from './signals.ts'
import { readTokenFile } from './token-file.ts'
import { watchRenewals } from './wire/agent-alarms.ts'
import { joinAs, renewing, tellTo } from './wire/join.ts'
import { random } from './wire/machine.ts'
import { controlId } from './wire/names.ts'
import { printEvents } from './wire/telemetry.ts'
import { followEntriesOf, followTrustOf } from './wire/trust.ts'

interface Options {
  readonly control: string
  readonly trustDomain: string
  readonly tokenFile?: string
  readonly platformToken?: string
  readonly certificate?: string
  readonly trustBundle?: string
  readonly name?: string
  readonly state: string
  readonly socket: string
  readonly admin?: ReturnType<typeof hostAndPort>
}

export function agentCommand(): Command {
  return new Command('agent')
    .description('serve the SPIFFE Workload API and Envoy SDS to the workloads of this host, by registration entries')
    .requiredOption('--control <url>', "control's mesh door")
    .requiredOption('--trust-domain <name>', 'the trust domain that control must be of')
    .option('--token-file <file>', 'join token of the agent, - for standard input; needed once')
    .addOption(
      new Option(
        '--platform-token <file>',
        'a token of the platform instead, such as a projected service account token; read anew whenever it is needed',
      ).conflicts(['tokenFile', 'certificate']),
    )
    .addOption(
      new Option(
        '--certificate <file>',
        'a certificate and key that this node had before instead, as PEM in one file',
      ).conflicts('tokenFile'),
    )
    .option('--trust-bundle <file>', "control's trust bundle, as `writ svid` writes trust.json; not with a join token")
    .option('--name <name>', 'with a platform token or certificate: which agent to be, where it may be several')
    .option('--state <dir>', "where the agent's own identity lives; mode 0700", '.writ-agent')
    .option('--socket <path>', 'the socket of the Workload API, which every user may open', '/run/writ/workload.sock')
    .option(
      '--admin <host:port>',
      'serve /ready, /live and /metrics there, over plain HTTP (default: nowhere)',
      hostAndPort,
    )
    .action(run)
}

async function run(options: Options): Promise<void> {
  const onEvent = printEvents()
  const nowMs = (): number => Date.now()
  const stop = until('SIGINT', 'SIGTERM')
  const trustDomain = parseTrustDomain(options.trustDomain)
  if (!trustDomain) throw usage(`${options.trustDomain} is no trust domain`, 'lower case, as in bank.example')
  const expect = controlId(trustDomain)
  const { control: url } = options
  const credentials = await openCredentials() // First of all: without it nobody could be served.
  const source = await openSource(options, trustDomain)
  const { id } = source.current().svid
  const warn = (from: string) => (text: string) => onEvent({ level: 'warn', from, text })
  const reach = () => ({ url, expect, nowMs, state: source.current() })
  const agent = openAgent({
    source,
    issue: (entry) => issueEntry({ ...reach(), entry }),
    mint: (entry, audiences) => mintEntry({ ...reach(), entry: entry.name, audiences }),
    nowMs,
    random,
    onProblem: warn('entries'),
  })
  const over = new AbortController()
  const following = [
    followTrustOf(
      reach,
      ({ bundles, distrusted }) => {
        source.setBundles(bundles)
        source.setDistrusted(distrusted)
        agent.setDistrusted(distrusted)
      },
      over.signal,
      warn('trust'),
    ),
    followEntriesOf(reach, agent.setEntries, over.signal, warn('entries')),
  ]
  const renewals = watchRenewals({ source, agent, nowMs, onEvent, signal: over.signal })
  const unexpected = (thrown: unknown): void => onEvent({ level: 'error', from: 'admin', text: messageOf(thrown) })
  const admin =
    options.admin &&
    (await openProxyDoor(options.admin, {
      notReady: () => (source.current().svid.notAfterMs <= nowMs() ? ['its certificate is over'] : []),
      metrics: renewals.metrics,
      unexpected,
    }))
  try {
    const door = await openWorkloadDoor({
      path: options.socket,
      mode: 0o666,
      attest: unixAttestor(agent, credentials),
      nowMs,
      unexpected: (thrown) => onEvent({ level: 'error', from: 'workload API', text: messageOf(thrown) }),
      onRefused: (detail) => onEvent({ level: 'warn', from: 'SDS', text: `an Envoy refused a secret: ${detail}` }),
    })
    try {
      if (admin) process.stdout.write(`admin      http://${admin.address}:${admin.port}\n`)
      process.stdout.write(`workload   unix://${door.path}\nready      ${id}\n`)
      await stop.wait()
    } finally {
      await door.close()
    }
  } finally {
    over.abort()
    await admin?.close()
    await Promise.all(following)
    agent.close()
    source.close()
  }
}

/** By a join token as every other process; by a proof of the platform as often as it has no identity that holds. */
async function openSource(options: Options, trustDomain: TrustDomain) {
  const onEvent = printEvents()
  const nowMs = (): number => Date.now()
  const expect = controlId(trustDomain)
  const { control: url } = options
  const dir = join(options.state, 'identity')
  if (options.platformToken === undefined && options.certificate === undefined) {
    return joinAs({ dir, url, expect, token: () => readTokenFile(options.tokenFile), nowMs, onEvent })
  }
  const bundle = await bundleIn(options.trustBundle)
  const want = options.name === undefined ? undefined : spiffeId(trustDomain, `/writ/agent/${options.name}`)
  if (options.name !== undefined && !want) throw usage(`${options.name} is no name of an agent`, 'one step of a path')
  const reach = { url, expect, nowMs }
  return openIdentitySource({
    dir,
    obtain: {
      ...renewing(reach),
      join: async (recovery) =>
        attestNode({ ...reach, bundle, recovery, proof: await proofOf(options), ...(want && { want }) }),
    },
    nowMs,
    random,
    onEvent: tellTo(onEvent),
  })
}

async function proofOf({ platformToken, certificate }: Options) {
  if (platformToken !== undefined) return { token: await tokenIn(platformToken) }
  const text = await readFile(certificate!, 'utf8')
  const [chain, keyPem] = [certificatesOf(text), keyOf(text)]
  if (chain.length > 0 && keyPem !== undefined) return { certificate: { chain, keyPem } }
  throw usage(`${certificate} holds no certificate with its PKCS#8 key`, 'put both into one file, as PEM')
}

/** Read anew each time: the platform writes a fresh one into the file before the last one ends. */
async function tokenIn(file: string): Promise<string> {
  const token = (await readFile(file, 'utf8')).trim()
  if (token.length <= 16_384) return token
  throw usage(`${file} is too long for a token`, 'name the file that the platform writes')
}

async function bundleIn(file: string | undefined): Promise<TrustBundle> {
  if (file === undefined) {
    throw usage('--trust-bundle is missing', 'give the trust.json of this mesh: nothing else says who control is')
  }
  const bundle = readTrust(parseJson(await readFile(file, 'utf8')))
  if (bundle) return bundle
  throw usage(`${file} is no trust bundle`, 'take the trust.json that `writ svid` writes')
}

const usage = (message: string, cure: string): WritError => new WritError('usage', message, { cure })
