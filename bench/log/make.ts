/**
 * A log of any size as producers, auditor and signer make it, without the stream and the store between them: workloads
 * with certificates number, chain and sign their records, control announces roots and issuance, each second of their
 * time is a checkpoint.
 */

import { join } from 'node:path'
import { consistencyProof } from '../../audit/log/merkle.ts'
import { hashesFromTiles } from '../../audit/log/tiles.ts'
import { openLogFolder } from '../../audit/node/folder.ts'
import { openFileSigner } from '../../audit/node/signer.ts'
import { newProducer, type Producer, type Sealed, seal, sealHead, sealStart } from '../../audit/stream/producer.ts'
import { openAuthority } from '../../ca/node/authority.ts'
import { signHeadWith } from '../../ca/node/heads.ts'
import { localIdentitySource } from '../../ca/node/source.ts'
import { random, sha256 } from '../../cli/wire/machine.ts'
import { fromHex, toBase64, toHex } from '../../core/bytes.ts'
import { constantJson, type Json } from '../../core/json.ts'
import { originOf } from '../../core/log.ts'
import type { IdentitySource, SignHead } from '../../core/ports.ts'
import { type DecisionBody, type EventBody, newEpoch, type OutcomeItem } from '../../core/record.ts'
import { parseTrustDomain, type SpiffeId, spiffeId } from '../../core/spiffe.ts'
import { formatTime } from '../../core/time.ts'

export interface MadeLog {
  /** Folder of the log, with a folder for each shard. */
  readonly dir: string
  readonly verifierKey: string
  readonly size: number
  /** Every checkpoint that was published, the oldest first. */
  readonly notes: readonly string[]
}

export interface MakeOptions {
  readonly dir: string
  readonly entries: number
  readonly workloads?: number
  /** Entries between two checkpoints. Default 10,000: a second's. */
  readonly everyEntries?: number
  readonly onProgress?: (size: number) => void
}

const trustDomain = parseTrustDomain('bank.example')!
const software = 'writ bench'
/** Decisions whose outcomes come in one record. */
const outcomesTogether = 100

interface Workload {
  readonly id: SpiffeId
  readonly source: IdentitySource
  readonly sign: SignHead
  readonly peers: readonly NonNullable<DecisionBody['peer']>[]
  producer: Producer
  readonly ended: OutcomeItem[]
}

export async function makeLog(options: MakeOptions): Promise<MadeLog> {
  const { dir, entries, workloads = 8, everyEntries = 10_000, onProgress } = options
  const startMs = Date.now()
  const authority = await openAuthority({ dir: join(dir, 'ca'), trustDomain, nowMs: () => startMs, random })
  const signer = await openFileSigner({ dir: join(dir, 'signer'), name: `${trustDomain}/audit`, sha256 })
  const logDir = join(dir, 'log')
  const folder = await openLogFolder(join(logDir, '0'), sha256)
  const origin = originOf(trustDomain, 0)
  const notes: string[] = []
  let size = 0
  const batch: { readonly hash: Uint8Array; readonly bytes: Uint8Array }[] = []
  const nowNs = (): bigint => BigInt(startMs) * 1_000_000n + BigInt(size + batch.length) * 100_000n

  const open = async (path: string): Promise<Workload> => {
    const id = spiffeId(trustDomain, path)!
    const source = await localIdentitySource(authority, id, { nowMs: () => startMs, random })
    const { svid } = source.current()
    const peer = constantJson({
      proof: 'x509',
      serial: svid.serial,
      not_before: formatTime(BigInt(svid.notBeforeMs) * 1_000_000n),
      not_after: formatTime(BigInt(svid.notAfterMs) * 1_000_000n),
    })
    const producer = newProducer({ td: trustDomain, cluster: 'bench', id, epoch: newEpoch(random) }, nowNs())
    return { id, source, sign: signHeadWith(source), peers: [peer], producer, ended: [] }
  }
  const take = (workload: Workload, sealed: Sealed): void => {
    workload.producer = sealed.producer
    for (const { leaf, hash } of sealed.records) batch.push({ hash: fromHex(hash)!, bytes: leaf.subarray(1) })
  }
  const write = (workload: Workload, body: EventBody): void =>
    take(workload, seal(workload.producer, body, nowNs(), sha256))
  const head = (workload: Workload, final: boolean): void => {
    const { chain } = workload.source.current().svid
    take(workload, sealHead(workload.producer, { final, chain, sign: workload.sign }, nowNs(), sha256))
  }
  const start = (workload: Workload): void => {
    const { chain } = workload.source.current().svid
    take(workload, sealStart(workload.producer, { software, previous: undefined, chain }, nowNs(), sha256))
  }
  const flush = async (): Promise<void> => {
    await folder.append(batch)
    size += batch.length
    batch.length = 0
  }
  const checkpoint = async (): Promise<void> => {
    await flush()
    const root = await folder.seal()
    const last = await signer.last(origin)
    const proof = last
      ? await consistencyProof(sha256, last.size, size, hashesFromTiles(sha256, folder.read, size))
      : []
    const signed = await signer.sign({ origin, size, root }, proof)
    await folder.publish(signed)
    notes.push(signed.note)
    onProgress?.(size)
  }

  const control = await open('writ/control')
  start(control)
  const roots = authority.bundle().roots.map(toBase64)
  write(control, { kind: 'trust', trust_domain: trustDomain, sequence: 1, roots })
  const all = await Promise.all(Array.from({ length: workloads }, (_, i) => open(`service-${i}`)))
  for (const { id, source } of all) write(control, issuance(id, source))
  head(control, true)
  for (const workload of all) start(workload)

  /** What is still to come: outcomes and a last head of each. */
  const closing = 2 * workloads
  let checkpointAt = everyEntries
  for (let n = 0; size + batch.length < entries - closing; n++) {
    const workload = all[n % workloads]!
    const caller = all[(n * 7 + 1) % workloads]!
    const { seq, body } = decide(workload, caller, n)
    write(workload, body)
    workload.ended.push(outcomeOf(seq, body, n))
    if (workload.ended.length === outcomesTogether) {
      write(workload, { kind: 'outcomes', outcomes: workload.ended.splice(0) })
      head(workload, false)
    }
    if (batch.length >= 1024) await flush()
    if (size + batch.length < checkpointAt || size + batch.length >= entries - closing) continue
    await checkpoint()
    checkpointAt += everyEntries
  }
  for (const workload of all) {
    if (workload.ended.length > 0) write(workload, { kind: 'outcomes', outcomes: workload.ended.splice(0) })
    head(workload, true)
  }
  await checkpoint()
  await signer.close()
  return { dir: logDir, verifierKey: signer.verifierKey, size, notes }
}

function issuance(subject: SpiffeId, source: IdentitySource): EventBody {
  const { serial, notBeforeMs, notAfterMs } = source.current().svid
  return {
    ...{ kind: 'issuance', action: 'issued', subject, serial, evidence: 'join-token:5a5a5a5a' },
    not_before: formatTime(BigInt(notBeforeMs) * 1_000_000n),
    not_after: formatTime(BigInt(notAfterMs) * 1_000_000n),
  }
}

const bundles = constantJson({ orders: { revision: '2026-11-23.4', sha256: 'ab'.repeat(32) } })
const methods = ['GET', 'GET', 'GET', 'POST', 'DELETE']

/** As a sidecar keeps it: random ids, an address of each caller, paths with numbers in them. */
function decide(
  workload: Workload,
  caller: Workload,
  n: number,
): { readonly seq: number; readonly body: DecisionBody } {
  const verdict = n % 11 === 10 ? 'deny' : 'allow'
  const name = workload.id.slice(workload.id.lastIndexOf('/') + 1)
  const request_id = toHex(random(16))
  const http: { readonly [name: string]: Json } = {
    ...{
      host: `${name}.shop.internal`,
      id: request_id,
      method: methods[n % 5]!,
      path: `/v1/orders/${1000 + (n % 977)}`,
    },
    ...{ protocol: 'HTTP/1.1', scheme: 'https' },
  }
  const address = (host: string, portValue: number): Json => ({
    address: { socketAddress: { address: host, portValue } },
  })
  const input = {
    attributes: {
      destination: address('10.1.0.9', 8443),
      request: { http },
      source: { ...(address(`10.1.${n % 4}.${n % 200}`, 32_768 + (n % 9000)) as object), principal: caller.id },
    },
    writ: { direction: 'inbound', listener: `${name}/http`, service: name, workload: workload.id },
  }
  return {
    seq: workload.producer.next,
    body: {
      ...{ kind: 'decision', direction: 'inbound', workload: workload.id, listener: `${name}/http`, verdict },
      ...{ code: verdict === 'allow' ? 'allowed' : 'policy_denied', by: 'policy', enforced: true },
      ...{
        reasons: verdict === 'allow' ? [] : ['the caller may only read'],
        bundles,
        path: 'writ/authz/result',
        input,
      },
      ...{ peer: caller.peers[0]!, service: name, route: 'http', request_id, trace_id: toHex(random(16)) },
    },
  }
}

const outcomeOf = (seq: number, { verdict }: DecisionBody, n: number): OutcomeItem => ({
  ...(verdict === 'allow' ? { code: 'completed', status: 200 } : { code: 'refused', status: 403 }),
  ...{
    seq,
    request_bytes: 0,
    response_bytes: 512 + (n % 4000),
    duration_us: 400 + (n % 3001),
    upstream: '127.0.0.1:8080',
  },
})
