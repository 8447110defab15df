/**
 * What a leaf takes in the archive: 32,768 records of decisions with realistic headers, with their outcomes and heads as
 * proxies write them, of ten workloads in turn. `node bench/log/archive.ts`
 */

import * as zlib from 'node:zlib'
import { encodeArchive, maxArchiveLeaves } from '../../audit/archive/file.ts'
import { encodeBundle } from '../../audit/log/tiles.ts'
import { newProducer, type Sealed, seal } from '../../audit/stream/producer.ts'
import { random, sha256 } from '../../cli/wire/machine.ts'
import { newEpoch, type OutcomeItem } from '../../core/record.ts'
import { spiffeId } from '../../core/spiffe.ts'
import { decisionOf, workloads } from '../audit/traffic.ts'
import { trustDomain } from '../certificates.ts'

const atNs = BigInt(Date.now()) * 1_000_000n
const all = workloads.map((name) => {
  const id = spiffeId(trustDomain, name)!
  const producer = newProducer({ td: trustDomain, cluster: 'bench', id, epoch: newEpoch(random) }, atNs)
  return { id, producer, ended: [] as OutcomeItem[] }
})
const leaves: Uint8Array[] = []
for (let n = 0; leaves.length < maxArchiveLeaves; n++) {
  const one = all[n % all.length]!
  const now = atNs + BigInt(n) * 137_003n
  const take = (sealed: Sealed): void => {
    one.producer = sealed.producer
    for (const { leaf } of sealed.records) leaves.push(leaf.subarray(1))
  }
  one.ended.push({
    ...{ seq: one.producer.next, code: 'completed', status: 200, request_bytes: 0 },
    ...{ response_bytes: 500 + (n % 997), duration_us: 900 + ((n * 7919) % 9973), upstream: '127.0.0.1:8080' },
  })
  take(seal(one.producer, decisionOf(one.id, n, now, random(16)), now, sha256))
  if (one.ended.length === 100) {
    take(seal(one.producer, { kind: 'outcomes', outcomes: one.ended.splice(0) }, now, sha256))
  }
}
leaves.length = maxArchiveLeaves
const raw = leaves.reduce((sum, { length }) => sum + length, 0)
const nodes = Array.from({ length: maxArchiveLeaves / 256 }, () => 'ab'.repeat(32))
const head = { v: 1, shard: 0, first: 0, last: maxArchiveLeaves - 1, nodes, checkpoint: 'x'.repeat(300) } as const
const per = (bytes: number): string => (bytes / maxArchiveLeaves).toFixed(1)
console.log(`${leaves.length} leaves, ${per(raw)} bytes each`)
let gz = 0
for (let i = 0; i < leaves.length; i += 256) gz += zlib.gzipSync(encodeBundle(leaves.slice(i, i + 256))).length
console.log(`entry bundles, gzipped: ${per(gz)}`)
for (const level of [3, 9, 12, 15, 19]) {
  const params = { [zlib.constants.ZSTD_c_compressionLevel]: level }
  const began = process.cpuUsage()
  const file = encodeArchive(head, leaves, (page) => zlib.zstdCompressSync(page, { params }))
  const { user } = process.cpuUsage(began)
  console.log(`Parquet, zstd ${level}: ${per(file.length)} bytes a leaf, ${Math.round(user / leaves.length)} us of CPU`)
}
