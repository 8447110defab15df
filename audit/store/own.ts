/** The auditor's own records: one chain per shard, in an epoch of its own, beginning with a start. */

import { toHex } from '../../core/bytes.ts'
import type { NowNs, RandomBytes, Sha256 } from '../../core/ports.ts'
import {
  type AuditEvent,
  type Epoch,
  type EventBody,
  encodeEvent,
  newEpoch,
  noHash,
  recordVersion,
  type StartBody,
} from '../../core/record.ts'
import type { SpiffeId, TrustDomain } from '../../core/spiffe.ts'
import { formatTime } from '../../core/time.ts'
import { leafHash } from '../log/merkle.ts'
import type { ArrivedRecord } from './arrival.ts'

export interface AuditorName {
  readonly producer: SpiffeId
  readonly trustDomain: TrustDomain
  readonly cluster: string
  readonly software: string
}

/** Where the chain has come to. */
export interface OwnChain {
  readonly epoch: Epoch
  readonly nextSeq: number
  readonly prev: string
}

export interface OwnTools {
  readonly name: AuditorName
  readonly now: NowNs
  readonly random: RandomBytes
  readonly sha256: Sha256
}

/** The next record of the chain, and the chain after it. */
export function ownRecord(
  chain: OwnChain,
  body: EventBody,
  tools: OwnTools,
): { record: ArrivedRecord; chain: OwnChain } {
  const event: AuditEvent = {
    v: recordVersion,
    td: tools.name.trustDomain,
    cluster: tools.name.cluster,
    producer: tools.name.producer,
    epoch: chain.epoch,
    seq: chain.nextSeq,
    prev: chain.prev,
    timestamp: formatTime(tools.now()),
    ...body,
  }
  const bytes = encodeEvent(event)
  const hash = leafHash(tools.sha256, bytes)
  const hashHex = toHex(hash)
  return {
    record: { event, bytes, hash, hashHex },
    chain: { epoch: chain.epoch, nextSeq: chain.nextSeq + 1, prev: hashHex },
  }
}

export const newChain = (tools: OwnTools): OwnChain => ({ epoch: newEpoch(tools.random), nextSeq: 0, prev: noHash })

export const startBody = (tools: OwnTools, previous: StartBody['previous']): StartBody => ({
  kind: 'start',
  software: tools.name.software,
  svid: [], // What the auditor writes is vouched for by the checkpoint over it.
  ...(previous ? { previous } : {}),
})
