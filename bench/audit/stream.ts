/** A stream as proxies send it, without the broker: sealed records with signed heads, in messages of one producer each. */

import { newProducer, type Producer, type Sealed, seal, sealHead, sealStart } from '../../audit/stream/producer.ts'
import { newKeyPair } from '../../ca/node/crypto.ts'
import { signHeadWith } from '../../ca/node/heads.ts'
import { random, sha256 } from '../../cli/wire/machine.ts'
import type { IdentityState, Svid } from '../../core/identity.ts'
import type { SignHead, StreamMessage } from '../../core/ports.ts'
import { newEpoch, type OutcomeItem } from '../../core/record.ts'
import { type SpiffeId, spiffeId } from '../../core/spiffe.ts'
import { authorityIn, trustDomain } from '../certificates.ts'
import { openMesh, randomOf } from './mesh.ts'

interface Sender {
  readonly partition: number
  svid: Svid
  readonly sign: SignHead
  producer: Producer
  waiting: Uint8Array[]
  ended: OutcomeItem[]
  headedMs: number
}

export interface StreamOptions {
  /** Folder of the authority that signs for producers. */
  readonly dir: string
  readonly producers: number
  readonly partitions: number
  /** Decisions in a second of all producers together. */
  readonly rate: number
}

/** Time that each step of the stream is long, in milliseconds: a pump sends so often. */
export const stepMs = 200
const headMs = 1000
const lineFeed = Uint8Array.of(10)

export interface Stream {
  /** What the next step brings, by partition. */
  next(): ReadonlyMap<number, readonly StreamMessage[]>
}

export async function openStream({ dir, producers, partitions, rate }: StreamOptions): Promise<Stream> {
  const startMs = Date.now()
  let nowMs = startMs
  const authority = await authorityIn(dir, () => nowMs)
  // By the stream's own time, as its records are: it lags behind the clock where the auditor does.
  const svidOf = (id: SpiffeId): Svid => {
    const { spki, keyPem } = newKeyPair()
    return { id, keyPem, ...authority.issue({ id, spki }) }
  }
  const decide = openMesh(startMs + 86_400_000)
  const chance = randomOf(5)
  const nsOf = (ms: number): bigint => BigInt(Math.floor(ms * 1000)) * 1000n
  const senders = Array.from({ length: producers }, (_, i): Sender => {
    const id = spiffeId(trustDomain, `producer-${i}`)!
    const of = { td: trustDomain, cluster: 'bench', id, epoch: newEpoch(random) }
    const sender: Sender = {
      ...{ partition: i % partitions, svid: svidOf(id), waiting: [], ended: [], headedMs: startMs },
      sign: signHeadWith({ current: () => ({ svid: sender.svid }) as IdentityState, subscribe: () => () => undefined }),
      producer: newProducer(of, nsOf(startMs)),
    }
    const { chain } = sender.svid
    take(
      sender,
      sealStart(sender.producer, { software: 'writ bench', previous: undefined, chain }, nsOf(startMs), sha256),
    )
    return sender
  })
  const offsets = new Map<number, number>()
  let [step, number] = [0, 0]
  return {
    next: () => {
      const perStep = (rate * stepMs) / 1000
      for (let i = 0; i < perStep; i++, number++) {
        const atMs = startMs + (step + i / perStep) * stepMs
        const sender = senders[Math.floor(chance() * senders.length)]!
        const { body } = decide(number, atMs)
        const seq = sender.producer.next
        take(sender, seal(sender.producer, body, nsOf(atMs), sha256))
        const end = { code: body.verdict === 'allow' ? 'completed' : 'refused', status: 200, request_bytes: 0 } as const
        sender.ended.push({
          seq,
          ...end,
          response_bytes: 512 + (number % 4000),
          duration_us: 300 + (number % 9000),
          upstream: '10.2.0.9:8080',
        })
      }
      const endMs = startMs + ++step * stepMs
      nowMs = endMs
      const messages = new Map<number, StreamMessage[]>()
      for (const sender of senders) {
        const { producer } = sender
        if (sender.ended.length > 0)
          take(sender, seal(producer, { kind: 'outcomes', outcomes: sender.ended.splice(0) }, nsOf(endMs), sha256))
        if (endMs - sender.headedMs >= headMs && sender.producer.unheaded > 0) {
          const { notBeforeMs, notAfterMs } = sender.svid
          if (endMs > (notBeforeMs + notAfterMs) / 2) sender.svid = svidOf(sender.svid.id)
          const { chain } = sender.svid
          take(sender, sealHead(sender.producer, { final: false, chain, sign: sender.sign }, nsOf(endMs), sha256))
          sender.headedMs = endMs
        }
        if (sender.waiting.length === 0) continue
        const offset = offsets.get(sender.partition) ?? 0
        offsets.set(sender.partition, offset + 1)
        const value = Buffer.concat(
          sender.waiting.splice(0).flatMap((line, i) => (i === 0 ? [line] : [lineFeed, line])),
        )
        const list = messages.get(sender.partition) ?? []
        list.push({ offset: String(offset), key: producer.id, value })
        messages.set(sender.partition, list)
      }
      return messages
    },
  }
}

function take(sender: Sender, { producer, records }: Sealed): void {
  sender.producer = producer
  for (const { leaf } of records) sender.waiting.push(leaf.subarray(1))
}
