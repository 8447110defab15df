/** A call to another proxy of the mesh is told by both: this is the caller's side. */

import type { RequestFacts } from '../../core/facts.ts'
import type { Outcome } from '../../core/outcome.ts'
import type { RecordSink } from '../../core/ports.ts'
import type { RecordId } from '../../core/record.ts'
import type { MirrorTo } from '../exchange.ts'
import type { Found } from './route.ts'

/** Each attempt that was sent there, so that each record of the other side finds its own. */
export function tellCalls(
  sink: Pick<RecordSink, 'called'>,
  kept: RecordId,
  { requestId }: Pick<RequestFacts, 'requestId'>,
  { service }: Pick<Found, 'service'>,
  { attempts, peer }: Pick<Outcome, 'attempts' | 'peer'>,
): void {
  for (const [at, one] of (attempts ?? []).entries()) {
    if (one.peer) sink.called?.(kept, { ...one.peer, requestId, service, attempt: at + 1 })
  }
  if (peer) sink.called?.(kept, { ...peer, requestId, service })
}

/** Mirrors are told when they are over, under numbers that no attempt has. */
export const mirrorsTold = (
  mirrors: readonly MirrorTo[],
  sink: Pick<RecordSink, 'called'>,
  kept: RecordId | undefined,
  { requestId }: Pick<RequestFacts, 'requestId'>,
): readonly MirrorTo[] =>
  kept
    ? mirrors.map((mirror, at) => ({
        ...mirror,
        over: (peer) => sink.called?.(kept, { ...peer, requestId, service: mirror.service, attempt: firstMirror + at }),
      }))
    : mirrors

/** Attempts before the last one are 10 at most. */
const firstMirror = 11
