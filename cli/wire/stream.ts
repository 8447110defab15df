/** The way from a spool to the log: within the process, or over Kafka. */

import { leafHash } from '../../audit/log/merkle.ts'
import { parseVerifierKey } from '../../audit/log/note.ts'
import { verifyReceipt } from '../../audit/log/receipt.ts'
import type { Auditor } from '../../audit/node/auditor.ts'
import { verifyEd25519 } from '../../audit/node/ed25519.ts'
import { embeddedStream } from '../../audit/node/embedded.ts'
import { kafkaStream } from '../../audit/node/kafka.ts'
import { openRecorder, type Recorder } from '../../audit/node/recorder.ts'
import { WritError } from '../../core/fault.ts'
import type { Receipt } from '../../core/log.ts'
import type { FindReceipt, KeyVault, NowNs, Stream } from '../../core/ports.ts'
import type { MeshSnapshot, StreamPlace } from '../../core/snapshot.ts'
import { software } from '../version.ts'
import { kafkaAccess } from './kafka-access.ts'
import { random, sha256 } from './machine.ts'
import type { OnEvent } from './telemetry.ts'

/** `auditor` is the one of this process, where there is one: an embedded stream needs it. */
export async function openStream(
  place: StreamPlace,
  clientId: string,
  onEvent: OnEvent,
  auditor?: Auditor,
): Promise<Stream> {
  if (place.kind === 'kafka') {
    const { brokers, topic } = place
    return kafkaStream({
      brokers,
      topic,
      credentials: await kafkaAccess(place),
      clientId,
      onEvent: ({ level, detail, name }) => onEvent({ level, from: 'kafka', text: `${name}: ${detail}` }),
    })
  }
  if (auditor) return embeddedStream(auditor.ingest, async () => BigInt((await auditor.nextOffset(0)) ?? '0'))
  throw new WritError('config_invalid', 'the mesh file has an embedded stream, which works within one process only', {
    cure: 'set spec.audit.stream.kafka in the Mesh document, or run everything by writ up',
  })
}

export interface SpoolOptions {
  readonly dir: string
  readonly snapshot: Pick<MeshSnapshot, 'audit' | 'trustDomain' | 'cluster'>
  readonly stream: Stream
  readonly findReceipt: FindReceipt
  /** Verifier key of the log, empty while it is unknown; nothing is released until then. */
  readonly logKey: () => string
  readonly now: NowNs
  readonly onEvent: OnEvent
  /** Where keys of disclosures are kept. Default nowhere: personal fields are digests that nobody can open. */
  readonly vault?: KeyVault
}

export function openSpool({ snapshot, onEvent, logKey, ...options }: SpoolOptions): Promise<Recorder> {
  return openRecorder({
    ...options,
    settings: snapshot.audit,
    trustDomain: snapshot.trustDomain,
    cluster: snapshot.cluster,
    software,
    verifyReceipt: (receipt, leaf) => holds(receipt, leaf, logKey(), snapshot.trustDomain),
    random,
    sha256,
    onEvent: ({ level, detail, name }) => onEvent({ level, from: 'spool', text: `${name}: ${detail}` }),
  })
}

/** Is the record in a log of this trust domain that the key signed? */
async function holds(receipt: Receipt, leaf: Uint8Array, logKey: string, trustDomain: string): Promise<boolean> {
  const key = logKey === '' ? undefined : parseVerifierKey(sha256, logKey)
  if (!key) return false
  const answer = await verifyReceipt(receipt, leafHash(sha256, leaf), [key], sha256, verifyEd25519)
  return answer.ok && answer.checkpoint.origin.startsWith(`${trustDomain}/audit/`)
}
