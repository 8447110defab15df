/** `writ control`: the control plane of one cluster as a process of its own. */

import { join } from 'node:path'
import { Command } from 'commander'
import { openAuthority } from '../ca/node/authority.ts'
import { disclosureRoutes } from '../control/node/disclosure-routes.ts'
import { openState } from '../control/node/state.ts'
import { messageOf, WritError } from '../core/fault.ts'
import type { FindReceipt } from '../core/ports.ts'
import { readPolicyFolder } from '../engine/node/open.ts'
import { hostAndPort } from './options.ts'
import { until } from './signals.ts'
import { auditorClient } from './wire/auditor-client.ts'
import { authorityOptions, openSharedState } from './wire/authority.ts'
import { compileConfig, compileMeshOnly, readMesh } from './wire/config.ts'
import { controlIdentity, openControlPlane } from './wire/control-plane.ts'
import { federationOf } from './wire/federation.ts'
import { inTurn } from './wire/in-turn.ts'
import { openClock, random, sha256 } from './wire/machine.ts'
import { auditorId } from './wire/names.ts'
import { pause } from './wire/pause.ts'
import { openDataSources } from './wire/policy-data.ts'
import { openPolicySources } from './wire/policy-sources.ts'
import { openSpool, openStream } from './wire/stream.ts'
import { printEvents } from './wire/telemetry.ts'
import { openDisclosureVault } from './wire/vault.ts'

interface Options {
  readonly file: string
  readonly state: string
  readonly policies: string
  readonly listen: { readonly address: string; readonly port: number }
  readonly auditor?: string
  readonly collector?: { readonly address: string; readonly port: number }
  readonly federation?: { readonly address: string; readonly port: number }
  readonly federationCert?: string
}

export function controlCommand(): Command {
  return new Command('control')
    .description(
      'run the control plane: issues identities, serves snapshots and policies; SIGHUP reads its files again',
    )
    .requiredOption('-f, --file <mesh.yaml>', 'the mesh file')
    .option('--state <dir>', 'where keys and spool live; mode 0700', '.writ')
    .option('--policies <dir>', 'compiled policies: <dir>/<bundle>/bundle.tar.gz', 'policies')
    .option('--listen <host:port>', 'where workloads join, renew and ask', hostAndPort, {
      address: '127.0.0.1',
      port: 7443,
    })
    .option(
      '--auditor <url>',
      "the auditor's door, which proves what may leave a spool; without it spools keep everything",
    )
    .option(
      '--collector <host:port>',
      'where edge functions hand in records: plain HTTP on loopback, behind a TLS terminator; default nowhere',
      hostAndPort,
    )
    .option(
      '--federation <host:port>',
      'serve our trust bundle there to everybody, with our SVID (https_spiffe); default nowhere',
      hostAndPort,
    )
    .option('--federation-cert <dir>', 'with a certificate of the Web PKI instead (https_web): tls.crt and tls.key')
    .action(run)
}

async function run(options: Options): Promise<void> {
  const onEvent = printEvents()
  const now = openClock()
  const nowMs = (): number => Number(now() / 1_000_000n)
  const stop = until('SIGINT', 'SIGTERM')
  const state = openState(options.state)
  const sources = openPolicySources({ dir: join(state.root, 'policy-sources'), meshFile: options.file, now, onEvent })
  const data = openDataSources({ dir: join(state.root, 'policy-data'), meshFile: options.file, now, onEvent })
  const closing: (() => Promise<void>)[] = []
  try {
    let logKey = ''
    const load = async () => {
      const mesh = await readMesh(options.file)
      const own = await readPolicyFolder(options.policies)
      const { policySources, policyData } = compileMeshOnly(mesh, options.file, own).settings
      await sources.follow(policySources)
      await data.follow(policyData)
      const all = sources.over(own)
      return compileConfig(mesh, options.file, all, logKey, onEvent, await data.over(all))
    }
    const config = await load()
    const { trustDomain } = config.snapshot
    const shared = await openSharedState(config.settings)
    if (shared) closing.push(() => shared.close())
    const authority = await openAuthority({
      ...{ dir: state.ca, trustDomain, nowMs, random },
      ...authorityOptions(config.settings),
      ...(shared && { store: shared.document('authority') }),
    })
    const identity = await controlIdentity(authority, nowMs, config.settings.svidTtlMs)
    const { source } = identity
    const auditor = options.auditor
      ? auditorClient({ url: options.auditor, expect: auditorId(config.snapshot.trustDomain), source, nowMs })
      : undefined
    const findReceipt: FindReceipt = async (id) => auditor?.findReceipt(id)
    const stream = await openStream(config.snapshot.stream, 'writ-control', onEvent)
    const recorder = await openSpool({
      dir: state.spool,
      snapshot: config.snapshot,
      stream,
      findReceipt,
      logKey: () => logKey,
      now,
      onEvent,
    })
    const vault = await openDisclosureVault(state.root)
    const itsAuditor = () => {
      if (auditor) return auditor
      throw new WritError('unavailable', 'this control does not know where the auditor is', {
        cure: 'start it with --auditor',
      })
    }
    const personal = disclosureRoutes({
      find: (id) => itsAuditor().findSealed(id),
      findUnder: (keys, most) => itsAuditor().findUnder(keys, most),
      vault,
      sink: () => control.sink,
      sha256,
    })
    const control = await openControlPlane({
      state,
      authority,
      identity,
      recorder,
      vault,
      shared,
      config,
      findReceipt,
      dataAgeMs: data.ageMs,
      listen: options.listen,
      collector: options.collector,
      federation: await federationOf(options),
      mounted: [personal, sources.routes, data.routes],
      now,
      onEvent,
    })
    const oneByOne = inTurn()
    const reload = async (why: string): Promise<void> => {
      try {
        await oneByOne(async () => control.apply(await load()))
        onEvent({ level: 'info', from: 'control', text: `${why}: ${control.snapshot().name}` })
      } catch (thrown) {
        onEvent({
          level: 'error',
          from: 'control',
          text: `goes on with ${control.snapshot().name}: ${messageOf(thrown)}`,
        })
      }
    }
    sources.attach(control.sink, (why) => void reload(why))
    data.attach(control.sink, (why) => void reload(why))
    process.on('SIGHUP', () => void reload('read its files again'))
    if (control.collector) {
      process.stdout.write(`collector  http://${control.collector.address}:${control.collector.port}\n`)
    }
    if (control.bundleDoor) {
      process.stdout.write(`bundle     https://${control.bundleDoor.address}:${control.bundleDoor.port}\n`)
    }
    process.stdout.write(`mesh door  https://${control.door.address}:${control.door.port}\n`)
    // The auditor joins through this process, so its key is learnt only once it is up.
    while (auditor && logKey === '' && !stop.aborted) {
      try {
        logKey = await auditor.verifierKey()
        await reload(`knows the log ${logKey.split('+')[0]}`)
      } catch {
        await pause(500, stop.signal)
      }
    }
    await stop.wait()
    await Promise.all([sources.close(), data.close()])
    await control.close()
    await recorder.close({ timeoutMs: 10_000 })
    await stream.close()
    source.close()
  } finally {
    await Promise.all([sources.close(), data.close()])
    for (const close of closing) await close()
    state.release()
  }
}
