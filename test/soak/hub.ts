/**
 * What stands behind the sidecars of the soak, as a process of its own: issuer, control, log and store. Records come over
 * a Unix socket instead of Kafka.
 */

import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { verifyPlace } from '../../audit/node/examine.ts'
import { counts } from '../../audit/query/node/edges.ts'
import { openAuthority } from '../../ca/node/authority.ts'
import { logPlace } from '../../cli/wire/audit.ts'
import { compileConfig } from '../../cli/wire/config.ts'
import { controlIdentity, openControlPlane } from '../../cli/wire/control-plane.ts'
import { openLog, storeOf } from '../../cli/wire/log.ts'
import { openClock, random } from '../../cli/wire/machine.ts'
import { openSpool, openStream } from '../../cli/wire/stream.ts'
import { openState } from '../../control/node/state.ts'
import { utf8 } from '../../core/bytes.ts'
import type { PolicyBundle } from '../../core/policy.ts'
import type { StreamBatch } from '../../core/ports.ts'
import { readBundle } from '../../engine/bundle.ts'
import { readPolicyFolder } from '../../engine/node/open.ts'
import { pack } from '../../engine/node/pack.ts'
import { readTar, type TarFile } from '../../engine/tar.ts'
import { answering } from './child.ts'
import { weigh } from './memory.ts'

export type HubAsk =
  | { readonly do: 'policy'; readonly number: number }
  | { readonly do: 'memory' }
  | { readonly do: 'counts' }

export interface Hub {
  readonly url: string
  /** Join tokens by workload. */
  readonly tokens: Readonly<Record<string, string>>
}

export interface Counts {
  readonly allowed: number
  readonly denied: number
  readonly faults: number
  readonly broken: readonly string[]
}

const [meshFile, dir, policies, socket, address = '127.0.0.1'] = process.argv.slice(2) as [
  ...[string, string, string, string],
  string?,
]
const now = openClock()
const nowMs = (): number => Number(now() / 1_000_000n)
const onEvent = ({
  level,
  from,
  text,
}: {
  readonly level: string
  readonly from: string
  readonly text: string
}): void => {
  if (level !== 'info') process.stderr.write(`${new Date().toISOString()} ${level} ${from}: ${text}\n`)
}

const mesh = await readFile(meshFile, 'utf8')
const state = openState(dir)
const [first] = await readPolicyFolder(policies)
const files = readTar(gunzipSync(first!.bytes), 100)
const compile = (bundle: PolicyBundle, logKey: string) => compileConfig(mesh, meshFile, [bundle], logKey, onEvent, [])
const draft = compile(first!, '')
const { trustDomain, cluster } = draft.snapshot
const authority = await openAuthority({ dir: state.ca, trustDomain, nowMs, random })
const log = await openLog({
  ...{ signerDir: `${dir}/signer`, logDir: state.log, store: storeOf(draft.settings.store, state.store) },
  ...{ trustDomain, cluster, now, onEvent, outside: draft.settings.outside },
  rootsOf: (of) => (of === trustDomain ? authority.bundle().roots : []),
  findings: () => draft.settings.findings,
  mesh: () => draft.snapshot,
})
const { auditor } = log
const stream = await openStream(draft.snapshot.stream, 'soak', onEvent, auditor)
const recorder = await openSpool({
  ...{ dir: state.spool, snapshot: draft.snapshot, stream, findReceipt: auditor.findReceipt, now, onEvent },
  logKey: () => log.verifierKey,
})
const control = await openControlPlane({
  ...{ state, authority, recorder, findReceipt: auditor.findReceipt, now, onEvent, mounted: [] },
  identity: await controlIdentity(authority, nowMs),
  config: compile(first!, log.verifierKey),
  dataAgeMs: () => undefined,
  listen: { address, port: 0 },
})

/** A batch is one request: what it is in the query, its records as lines. */
const records = createServer(async (asked, answer) => {
  const chunks: Buffer[] = []
  for await (const chunk of asked) chunks.push(chunk as Buffer)
  const batch = JSON.parse(String(asked.headers['x-batch'])) as Omit<StreamBatch, 'records'>
  const lines = Buffer.concat(chunks).toString('latin1').split('\n')
  stream.publish({ ...batch, records: lines.map((line) => Buffer.from(line, 'latin1')) }).then(
    () => answer.writeHead(204).end(),
    () => answer.writeHead(503).end(),
  )
}).listen(socket)
await once(records, 'listening')

/** The same rules with other data, under a revision of its own. */
async function bundleOf(number: number): Promise<PolicyBundle> {
  const turn = number % 2 === 0 ? 'even' : 'odd'
  const bytes = pack(
    files.map(({ name, bytes }): TarFile => {
      if (name === 'data.json') return { name, bytes: utf8(JSON.stringify({ soak: { turn, number } })) }
      if (name !== '.manifest') return { name, bytes }
      return {
        name,
        bytes: utf8(JSON.stringify({ ...JSON.parse(Buffer.from(bytes).toString()), revision: `r${number}` })),
      }
    }),
  )
  return { ref: (await readBundle(bytes, 'soak')).ref, bytes }
}

async function examine(): Promise<Counts> {
  await recorder.flushed()
  await auditor.checkpoint()
  const { verification } = await verifyPlace(logPlace(state.log, log.verifierKey, log.store.db))
  const broken = verification.findings.filter(({ level }) => level === 'broken').map((one) => JSON.stringify(one))
  return { ...(await counts(log.store.db)), broken }
}

const tokens = Object.fromEntries(
  await Promise.all(
    control.snapshot().workloads.map(async ({ name, id }) => [name, await control.registrar.createToken(id)] as const),
  ),
)
answering({ url: `https://${address}:${control.door.port}`, tokens } satisfies Hub, async (ask: HubAsk) => {
  if (ask.do === 'policy') return control.apply(compile(await bundleOf(ask.number), log.verifierKey))
  return ask.do === 'memory' ? weigh() : examine()
})
