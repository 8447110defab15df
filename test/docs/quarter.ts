/** The log of a quarter of the bank: made by the functions that make real ones, with certificates of their days. */

import { join } from 'node:path'
import { openLogFolder } from '../../audit/node/folder.ts'
import { openFileSigner } from '../../audit/node/signer.ts'
import { newProducer, type Producer, type Sealed, seal, sealHead, sealStart } from '../../audit/stream/producer.ts'
import { openAuthority } from '../../ca/node/authority.ts'
import { signHeadWith } from '../../ca/node/heads.ts'
import { localIdentitySource } from '../../ca/node/source.ts'
import { random, sha256 } from '../../cli/wire/machine.ts'
import { fromHex, toBase64 } from '../../core/bytes.ts'
import { originOf } from '../../core/log.ts'
import type { IdentitySource } from '../../core/ports.ts'
import { decisionId, type EventBody, newEpoch, type StartBody } from '../../core/record.ts'
import { parseTrustDomain, spiffeId } from '../../core/spiffe.ts'
import { formatMs } from '../../core/time.ts'
import { agreeable } from '../../proxy/node/tls.ts'
import { type Call, decisionBody, id } from '../audit/verify/producer.ts'

const dayMs = 86_400_000
export const quarterFrom: number = Date.UTC(2026, 6, 1)
export const quarterTo: number = Date.UTC(2026, 9, 1)
const trustDomain = parseTrustDomain('bank.example')!
const digests = ['11'.repeat(32), '22'.repeat(32)]

interface Writer {
  source: IdentitySource
  producer: Producer
  previous: StartBody['previous']
}

/** Into `state` as `writ up` keeps it: `log/0` and `signer/log.pub`. */
export async function makeQuarter(state: string): Promise<void> {
  let nowMs = quarterFrom
  const clock = () => BigInt(nowMs) * 1_000_000n
  const authority = await openAuthority({ dir: join(state, 'ca'), trustDomain, nowMs: () => nowMs, random })
  const signer = await openFileSigner({ dir: join(state, 'signer'), name: `${trustDomain}/audit`, sha256 })
  const folder = await openLogFolder(join(state, 'log', '0'), sha256)
  const batch: { readonly hash: Uint8Array; readonly bytes: Uint8Array }[] = []
  let last = { epoch: newEpoch(random), seq: 0 }
  let hash = ''

  const take = (writer: Writer, sealed: Sealed): void => {
    for (const one of sealed.records) {
      batch.push({ hash: fromHex(one.hash)!, bytes: one.leaf.subarray(1) })
      last = { epoch: writer.producer.epoch, seq: one.seq }
      hash = one.hash
    }
    writer.producer = sealed.producer
    nowMs += 10
  }
  const write = (writer: Writer, body: EventBody): void => take(writer, seal(writer.producer, body, clock(), sha256))
  const begin = async (path: string, former?: Writer): Promise<Writer> => {
    const name = spiffeId(trustDomain, path)!
    const source = await localIdentitySource(authority, name, { nowMs: () => nowMs, random })
    const producer = newProducer({ td: trustDomain, cluster: 'bank', id: name, epoch: newEpoch(random) }, clock())
    const writer: Writer = { source, producer, previous: former?.previous }
    const { chain } = source.current().svid
    const tls = path.startsWith('writ/') ? undefined : agreeable
    take(writer, sealStart(producer, { software: 'writ', previous: former?.previous, chain, tls }, clock(), sha256))
    return writer
  }
  const end = (writer: Writer): void => {
    const { chain } = writer.source.current().svid
    const sign = signHeadWith(writer.source)
    take(writer, sealHead(writer.producer, { final: true, chain, sign }, clock(), sha256))
    writer.previous = { ...last, hash, ended: 'clean' }
  }

  let control: Writer | undefined
  let auditor: Writer | undefined
  let orders: Writer | undefined
  for (let day = 0; day < 92; day++) {
    nowMs = quarterFrom + day * dayMs + 8 * 3_600_000
    control = await begin('writ/control', control)
    if (day === 0) {
      const roots = authority.bundle().roots.map(toBase64)
      write(control, { kind: 'trust', trust_domain: trustDomain, sequence: 1, roots })
    }
    auditor ??= await begin('writ/auditor')
    // The second revision is that of day 60, and nobody approved it.
    const revision = { bundle: 'orders', revision: day < 60 ? 'r1' : 'r2', sha256: digests[day < 60 ? 0 : 1]! }
    if (day === 0 || day === 60) write(control, { kind: 'policy', action: 'published', ...revision })
    const caller = await localIdentitySource(authority, id('web'), { nowMs: () => nowMs, random })
    const { serial, notBeforeMs, notAfterMs } = caller.current().svid
    const life = { not_before: formatMs(notBeforeMs), not_after: formatMs(notAfterMs) }
    const issued = { kind: 'issuance', action: 'issued', subject: id('web'), serial, ...life } as const
    write(control, { ...issued, evidence: 'join-token:00000000' })
    orders = await begin('orders', orders)
    write(control, { kind: 'policy', action: 'activated', ...revision })
    for (const [drill, what] of [
      ['default_deny', 'no_certificate'],
      ['fail_closed', 'policy_missing'],
    ] as const) {
      const drilled = { kind: 'drill', drill, workload: id('orders'), listener: 'orders/in', case: what } as const
      write(orders, { ...drilled, refused: true, observed: 'identity_missing' })
    }
    for (let n = 0; n < 20; n++) {
      const call: Call = { verdict: n % 5 === 4 ? 'deny' : 'allow', path: `/orders/${n}`, notBeforeMs, notAfterMs }
      const isBatch = day === 40 && n === 7 // A batch job that shows a token and no certificate.
      const more: Call = isBatch ? { caller: id('batch'), proof: 'jwt' } : {}
      const body = decisionBody(id('orders'), { ...call, ...more }, nowMs)
      const peer = { ...body.peer!, serial: isBatch ? '77' : serial }
      const { revision: of, sha256: digest } = revision
      write(orders, { ...body, peer, bundles: { orders: { revision: of, sha256: digest } } })
    }
    if (day === 40) {
      const found = { severity: 'low', key: 'k', subject: id('batch'), first_at: formatMs(nowMs), count: 1 } as const
      const rest = { last_at: formatMs(nowMs), facts: {}, evidence: [] }
      const what = 'batch was let do what it was never seen to do'
      write(auditor, { kind: 'finding', finding: 'first_seen', ...found, ...rest, what })
      const of = decisionId(last)
      write(control, { kind: 'acknowledgement', of, by: 'Bo Berg', actor: 'uid 1000', note: 'the new batch job' })
    }
    const read = { kind: 'audit_read', door: 'socket', reader: 'uid 1000', action: 'query', question: '' } as const
    write(control, { ...read, verdict: 'allow', count: 20, times: 1 })
    end(orders)
    end(control)
  }
  await folder.append(batch)
  const root = await folder.seal()
  await folder.publish(await signer.sign({ origin: originOf(trustDomain, 0), size: batch.length, root }, []))
}
