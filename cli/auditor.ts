/** `writ auditor`: takes records from Kafka into the log, and signs a checkpoint each second. */

import { join } from 'node:path'
import { Command } from 'commander'
import { findSealed } from '../audit/node/disclose.ts'
import { tileReader } from '../audit/node/folder.ts'
import { recordsUnder } from '../audit/store/disclosures.ts'
import { makeIdentify } from '../ca/identify.ts'
import { verifySignature } from '../ca/node/crypto.ts'
import { openLogDoor } from '../control/node/log-door.ts'
import { openState } from '../control/node/state.ts'
import { messageOf, WritError } from '../core/fault.ts'
import { hostAndPort } from './options.ts'
import { until } from './signals.ts'
import { readTokenFile } from './token-file.ts'
import { logPlace } from './wire/audit.ts'
import { openAuditorDoors } from './wire/auditor-doors.ts'
import { openComplianceWatch } from './wire/compliance-watch.ts'
import { compileMeshOnly, readMesh } from './wire/config.ts'
import { webPlace } from './wire/federation.ts'
import { endsOf, openIngest } from './wire/ingest.ts'
import { joinAs } from './wire/join.ts'
import { openKnownRoots } from './wire/known-roots.ts'
import { openLog, storeOf } from './wire/log.ts'
import { openClock } from './wire/machine.ts'
import { meshClient } from './wire/mesh-client.ts'
import { auditorId, controlId } from './wire/names.ts'
import { printEvents } from './wire/telemetry.ts'
import { followTrust } from './wire/trust.ts'

interface Options {
  readonly file: string
  readonly state: string
  readonly control: string
  readonly tokenFile?: string
  readonly listen: { readonly address: string; readonly port: number }
  readonly signer?: string
  readonly catchUp?: boolean
  readonly auditors?: { readonly address: string; readonly port: number }
  readonly auditorsCert?: string
}

export function auditorCommand(): Command {
  return new Command('auditor')
    .description(
      'run the auditor: records from Kafka into PostgreSQL and the log, a signed checkpoint each second; SIGHUP reads the settings of findings again',
    )
    .requiredOption('-f, --file <mesh.yaml>', 'the mesh file; names the brokers and the store')
    .requiredOption('--control <url>', "control's mesh door")
    .option('--token-file <file>', 'join token, - for standard input; needed once')
    .option('--state <dir>', 'where identity, signer and log files live; mode 0700', '.writ-auditor')
    .option('--listen <host:port>', 'where control asks for receipts', hostAndPort, {
      address: '127.0.0.1',
      port: 7444,
    })
    .option('--signer <socket>', 'have `writ signer` sign, at this socket (default: this process holds the key)')
    .option(
      '--auditors <host:port>',
      'let outside auditors in there who have a grant (HTTPS); default nowhere',
      hostAndPort,
    )
    .option('--auditors-cert <dir>', 'with a certificate of the Web PKI: tls.crt and tls.key (default: our SVID)')
    .option('--catch-up', 'after a restore: take in again from Kafka what was signed, and sign only what extends it')
    .action(run)
}

async function run(options: Options): Promise<void> {
  const onEvent = printEvents()
  const now = openClock()
  const nowMs = (): number => Number(now() / 1_000_000n)
  const stop = until('SIGINT', 'SIGTERM')
  const { snapshot, settings } = compileMeshOnly(await readMesh(options.file), options.file)
  const { trustDomain, cluster, stream } = snapshot
  if (stream.kind !== 'kafka') {
    throw new WritError('config_invalid', `${options.file} has an embedded stream, which needs no auditor`, {
      cure: 'set spec.audit.stream.kafka in the Mesh document, or run writ up',
    })
  }
  let { findings } = settings
  /** What is told as a finding follows the file; everything else is settled at the start. */
  const reload = async (): Promise<void> => {
    try {
      findings = compileMeshOnly(await readMesh(options.file), options.file).settings.findings
      onEvent({ level: 'info', from: 'auditor', text: 'read the settings of findings again' })
    } catch (thrown) {
      onEvent({ level: 'error', from: 'auditor', text: `goes on with the settings it has: ${messageOf(thrown)}` })
    }
  }
  process.on('SIGHUP', () => void reload())
  const state = openState(options.state)
  const closing: (() => Promise<void>)[] = [async () => state.release()]
  try {
    const source = await joinAs({
      dir: join(state.root, 'identity'),
      url: options.control,
      expect: controlId(trustDomain),
      token: () => readTokenFile(options.tokenFile),
      id: auditorId(trustDomain),
      nowMs,
      onEvent,
    })
    closing.push(async () => source.close())
    const client = meshClient({ url: options.control, expect: controlId(trustDomain), source, nowMs })
    const ending = new AbortController()
    const trusting = followTrust(client, source, ending.signal)
    closing.push(async () => {
      ending.abort()
      await trusting
    })
    const roots = openKnownRoots(state.root, nowMs)
    const learn = (): void => [...source.current().bundles.values()].forEach(roots.update)
    learn()
    source.subscribe(learn)
    const log = await openLog({
      signerDir: join(state.root, 'signer'),
      ...(options.signer !== undefined && { signerSocket: options.signer }),
      logDir: state.log,
      store: storeOf(settings.store, state.store),
      trustDomain,
      cluster,
      rootsOf: roots.at,
      now,
      onEvent,
      outside: settings.outside,
      keeping: settings.keeping,
      catchUp: options.catchUp === true,
      findings: () => findings,
      mesh: () => snapshot,
      streamEnds: endsOf(stream),
    })
    closing.push(() => log.close())
    const compliance = openComplianceWatch({
      ...{ log, place: logPlace(state.log, log.verifierKey), meshFile: options.file, nowMs, onEvent },
      ...{ settings: settings.compliance, signKey: join(state.root, 'report.key') },
    })
    closing.push(() => compliance.close())
    const identify = makeIdentify(() => source.current(), verifySignature)
    const doors = await openAuditorDoors({
      ...{ state, log, compliance, identity: source, identify, settings, now, onEvent },
      producer: auditorId(trustDomain),
      auditors: await webPlace(options.auditors, options.auditorsCert),
    })
    closing.push(() => doors.close())
    const door = await openLogDoor(
      {
        identity: source,
        identify,
        mayRead: (id) => id === controlId(trustDomain),
        verifierKey: log.verifierKey,
        findReceipt: log.auditor.findReceipt,
        file: tileReader(state.log),
        findSealed: (id) => findSealed(log.store.db, id),
        findUnder: (keys, most) => recordsUnder(log.store.db, keys, most),
        nowMs,
        unexpected: (thrown) => onEvent({ level: 'error', from: 'door', text: messageOf(thrown) }),
      },
      options.listen,
    )
    closing.push(() => door.close())
    const ingest = await openIngest(stream, log.auditor, onEvent)
    const lines = [
      ...(doors.auditors ? [`auditors   https://${doors.auditors.address}:${doors.auditors.port}`] : []),
      `log door   https://${door.address}:${door.port}`,
      `log key    ${log.verifierKey}`,
    ]
    process.stdout.write(`${lines.join('\n')}\n`)
    await stop.wait()
    await ingest.close()
    await log.auditor.checkpoint().catch(() => undefined) // The next start signs what this one could not.
  } finally {
    // Also after a start that failed half way: what is left open would keep the process from ending.
    for (const close of closing.reverse()) await close()
  }
}
