/**
 * Producers of `npm run bench:audit`, in a process of their own: decisions as a proxy records them, at a given rate, each
 * with its outcome, through the product's own recorder into Kafka. Says once a second what it kept and what it cost.
 */

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { kafkaStream } from '../../audit/node/kafka.ts'
import { openRecorder } from '../../audit/node/recorder.ts'
import { signHeadWith } from '../../ca/node/heads.ts'
import { localIdentitySource } from '../../ca/node/source.ts'
import { openClock, random, sha256 } from '../../cli/wire/machine.ts'
import type { Outcome } from '../../core/outcome.ts'
import { auditDefaults } from '../../core/snapshot.ts'
import { spiffeId } from '../../core/spiffe.ts'
import { authorityIn, trustDomain } from '../certificates.ts'
import { decisionOf, workloads } from './traffic.ts'

const [, , folder, broker, topic, producers, rate, name] = process.argv as string[]
const now = openClock()
const authority = await authorityIn(join(folder!, 'ca'))
const stream = await kafkaStream({ brokers: [broker!], topic: topic!, clientId: `bench-${name}` })
const recorder = await openRecorder({
  ...{ dir: join(folder!, `spool-${name}`), trustDomain, cluster: 'bench', software: 'writ bench' },
  settings: { ...auditDefaults, spoolMaxBytes: 16 * 1024 ** 3 },
  ...{ stream, now, random, sha256, onEvent: () => undefined },
})
const sinks = await Promise.all(
  Array.from({ length: Number(producers) }, async (_, i) => {
    const id = spiffeId(trustDomain, `${workloads[i % workloads.length]!}-${name}-${i}`)!
    const source = await localIdentitySource(authority, id, { nowMs: Date.now, random })
    return { id, source, sink: await recorder.producer({ id, source, signHead: signHeadWith(source) }) }
  }),
)

/** Ids, made beforehand: they are not what is measured here. */
const ids = Array.from({ length: 65_536 }, () => randomBytes(16))
const outcome: Outcome = {
  ...{ code: 'completed', status: 200, requestBytes: 0, responseBytes: 1432, upstream: '10.0.3.17:8080' },
  durationUs: 812,
}
let kept = 0
let number = 0
let due = 0
let at = performance.now()
const everyMs = 10
const timer = setInterval(async () => {
  const time = performance.now()
  due += (Number(rate) * (time - at)) / 1000
  at = time
  const list: Promise<unknown>[] = []
  for (; due >= 1; due--) {
    const { id, sink } = sinks[number % sinks.length]!
    const body = decisionOf(id, number, now(), ids[number++ % ids.length]!)
    list.push(
      Promise.resolve(sink.keep(body)).then((record) => {
        kept++
        sink.outcome(record, {
          ...outcome,
          durationUs: 300 + ((number * 7919) % 20_000),
          ...(body.verdict === 'deny' && { code: 'refused', status: 403, upstream: '' }),
        })
      }),
    )
  }
  await Promise.all(list)
}, everyMs)

process.on('disconnect', () => process.exit(1))
const say = (): void => {
  const { user, system } = process.cpuUsage()
  process.send?.({ kept, published: recorder.status().published, cpuMs: (user + system) / 1000 })
}
setInterval(say, 500)
process.on('message', async () => {
  clearInterval(timer)
  await recorder.close({ timeoutMs: 60_000 })
  say()
  await stream.close()
  process.exit(0)
})
