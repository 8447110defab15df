/** Records of an edge function: it has no disk, so each is posted to the collector before the request goes on. */

import { WritError } from '../../core/fault.ts'
import type { RecordSink } from '../../core/ports.ts'
import type { DecisionBody, Epoch, OutcomeItem, RecordId } from '../../core/record.ts'
import type { SpiffeId } from '../../core/spiffe.ts'

export interface CollectorOptions {
  /** `https://control.example:7443`. */
  readonly url: string
  /** A collector token: `writ token --collector WORKLOAD`. Bound to the workload, so it can speak for no other. */
  readonly token: string
  /** The collector's own identity, which numbers and signs what it keeps for us. */
  readonly producer: SpiffeId
  /** Time for one post, in milliseconds. Default 5 000; a request waits no longer and is refused then. */
  readonly timeoutMs?: number
  readonly fetch?: typeof fetch
  /** Lets the platform wait for outcomes after the response has left, as `ctx.waitUntil` does. */
  readonly waitUntil?: (work: Promise<unknown>) => void
}

/** Most outcomes that wait for a post; what is over is not sent, and shows as unknown. */
const maxOutcomes = 1024

export function collectorSink(options: CollectorOptions): RecordSink {
  const send = options.fetch ?? fetch
  let waiting: (OutcomeItem & { readonly epoch: Epoch })[] = []
  let posting: Promise<void> | undefined

  const post = async (body: unknown): Promise<unknown> => {
    const response = await send(`${options.url}/v1/records`, {
      method: 'POST',
      headers: { authorization: `Bearer ${options.token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(options.timeoutMs ?? 5000),
    })
    if (!response.ok) throw new Error(`the collector answered ${response.status}`)
    return response.json()
  }

  const flush = async (): Promise<void> => {
    const outcomes = waiting
    waiting = []
    await post({ outcomes }).catch(() => undefined) // An outcome that is lost is shown as unknown.
  }

  return {
    async keep(body): Promise<RecordId> {
      try {
        const { ids } = (await post({ records: [body as DecisionBody] })) as { ids: { epoch: Epoch; seq: number }[] }
        const id = ids[0]!
        return { producer: options.producer, epoch: id.epoch, seq: id.seq }
      } catch (cause) {
        throw new WritError('audit_unavailable', 'the collector did not keep the record', {
          cure: `check that ${options.url} is reachable and the token is current`,
          cause,
        })
      }
    },
    outcome(id, outcome) {
      if (waiting.length >= maxOutcomes) return
      waiting.push({
        epoch: id.epoch,
        seq: id.seq,
        code: outcome.code,
        status: outcome.status,
        request_bytes: outcome.requestBytes,
        response_bytes: outcome.responseBytes,
        duration_us: outcome.durationUs,
        upstream: outcome.upstream,
      })
      posting ??= Promise.resolve()
        .then(flush)
        .finally(() => {
          posting = undefined
        })
      options.waitUntil?.(posting)
    },
    // The platform stands between us and strangers, and counts them itself.
    refused() {},
  }
}
