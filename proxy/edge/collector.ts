/** Records of an edge function: it has no disk, so each is posted to the collector before the request goes on. */

import { utf8 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { isObject, type Json } from '../../core/json.ts'
import type { RecordSink } from '../../core/ports.ts'
import { type Epoch, type EventBody, type OutcomeItem, parseEpoch, type RecordId } from '../../core/record.ts'
import { maxQuarantined, type Quarantined } from '../../core/snapshot.ts'
import { parseSpiffeId, type SpiffeId } from '../../core/spiffe.ts'
import { type FindQuarantine, quarantineOf } from '../flow/quarantine.ts'

export interface CollectorOptions {
  /** Where the collector is: `https://collector.example`; plain http to loopback only, since the token goes along. */
  readonly url: string
  /** A collector token: `writ token --collector WORKLOAD`. Bound to the workload, so it can speak for no other. */
  readonly token: string
  /** The collector's own identity, which numbers and signs what it keeps for us. */
  readonly producer: SpiffeId
  /** Time for one post, in milliseconds. Default 5 000; a request waits no longer and is refused then. */
  readonly timeoutMs?: number
  /** Time that outcomes and counts of strangers wait for more of them, in milliseconds. Default 250. */
  readonly gatherMs?: number
  /** Default the runtime's own. */
  readonly fetch?: typeof fetch
}

export interface CollectorSink extends RecordSink {
  /** As the collector said with its last answer. */
  readonly quarantined: FindQuarantine
  /** Posts what is not a decision: outcomes, and how many strangers there were. Never rejects. */
  flush(): Promise<void>
}

/** What one post carries at most, as the collector takes it: decisions, and bytes of them with room for the rest. */
const maxRecords = 256
const maxRecordsBytes = 192 * 1024
/** Most outcomes that wait for a post. What is over is not sent and shows as unknown. */
const maxOutcomes = 1024
/** Distinct sources and codes of strangers that wait for a post. What is over is counted without its source. */
const maxStrangers = 192

interface Waiting {
  readonly text: string
  readonly bytes: number
  readonly resolve: (id: RecordId) => void
  readonly reject: (fault: WritError) => void
}

type Stranger = { source: string; code: string; detail: string; count: number }

export function collectorSink(options: CollectorOptions): CollectorSink {
  const address = addressOf(options.url)
  const send = options.fetch ?? fetch
  let decisions: Waiting[] = []
  let quarantined: FindQuarantine | undefined
  let outcomes: (OutcomeItem & { readonly epoch: Epoch })[] = []
  let strangers = new Map<string, Stranger>()
  /** Counts posts of outcomes, so that of many who wait the first one posts for all. */
  let round = 0

  async function post(body: string): Promise<unknown> {
    const response = await send(address, {
      method: 'POST',
      headers: { authorization: `Bearer ${options.token}`, 'content-type': 'application/json' },
      body,
      redirect: 'manual', // The token goes nowhere else.
      signal: AbortSignal.timeout(options.timeoutMs ?? 5000),
    })
    if (response.ok) return heard(await response.json())
    // Refused for a caller in quarantine: the answer names all that are.
    if (response.status === 403) heard(await response.json().catch(() => undefined), true)
    else await response.body?.cancel()
    throw new Error(`it answered ${response.status}`)
  }

  function heard(answer: unknown, refused = false): unknown {
    const list = quarantineIn(answer)
    if (list || !refused) quarantined = list && quarantineOf(list)
    return answer
  }

  /** One post for all that were decided in the same tick, or as many as fit. */
  async function postDecisions(batch: readonly Waiting[]): Promise<void> {
    try {
      const ids = idsIn(await post(`{"records":[${batch.map(({ text }) => text).join(',')}]}`), options.producer)
      if (ids?.length !== batch.length) throw new Error('it did not say what it kept')
      for (const [i, { resolve }] of batch.entries()) resolve(ids[i]!)
    } catch (cause) {
      const fault = new WritError('audit_unavailable', 'the collector did not keep the record', {
        cure: `check that ${options.url} is reachable and the token is current`,
        cause,
      })
      for (const { reject } of batch) reject(fault)
    }
  }

  function postWaiting(): void {
    const waiting = decisions
    decisions = []
    for (const batch of batchesOf(waiting)) void postDecisions(batch)
  }

  return {
    quarantined: (id, nowMs) => quarantined?.(id, nowMs),

    keep: (body: EventBody) =>
      new Promise<RecordId>((resolve, reject) => {
        const text = JSON.stringify(body)
        decisions.push({ text, bytes: utf8(text).length + 1, resolve, reject })
        if (decisions.length === 1) queueMicrotask(postWaiting)
      }),

    outcome(id, outcome) {
      if (outcomes.length >= maxOutcomes) return
      outcomes.push({
        epoch: id.epoch,
        seq: id.seq,
        code: outcome.code,
        status: outcome.status,
        request_bytes: outcome.requestBytes,
        response_bytes: outcome.responseBytes,
        duration_us: outcome.durationUs,
        upstream: outcome.upstream,
      })
    },

    refused({ source, code, detail, count = 1 }) {
      const fits = strangers.size < maxStrangers || strangers.has(`${code} ${source}`)
      const key = fits ? `${code} ${source}` : `${code} `
      const known = strangers.get(key)
      if (known) known.count += count
      else strangers.set(key, { source: fits ? clip(source, 64) : '', code, detail: clip(detail, 200), count })
    },

    /**
     * Each request waits on a timer of its own, since Workers end what hangs on another request. The first to wake takes
     * along what all have left; those who wake later find their round over.
     */
    async flush() {
      const mine = round
      await new Promise((resolve) => setTimeout(resolve, options.gatherMs ?? 250))
      if (round !== mine) return
      round++
      const body = JSON.stringify({ outcomes, refusals: [...strangers.values()] })
      const empty = outcomes.length === 0 && strangers.size === 0
      outcomes = []
      strangers = new Map()
      if (!empty) await post(body).catch(() => undefined) // An outcome that is lost is shown as unknown.
    },
  }
}

function addressOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const local = parsed?.protocol === 'http:' && /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(parsed.hostname)
  if (parsed?.protocol === 'https:' || local) return new URL('/v1/records', url).href
  throw new WritError('config_invalid', `${url} is no address that a collector token may be sent to`, {
    cure: 'give the https:// address of the TLS terminator before the collector',
  })
}

function batchesOf(waiting: readonly Waiting[]): Waiting[][] {
  const batches: Waiting[][] = []
  let batch: Waiting[] = []
  let bytes = 0
  for (const one of waiting) {
    if (batch.length === maxRecords || (batch.length > 0 && bytes + one.bytes > maxRecordsBytes)) {
      batches.push(batch)
      batch = []
      bytes = 0
    }
    batch.push(one)
    bytes += one.bytes
  }
  batches.push(batch)
  return batches
}

function idsIn(answer: unknown, producer: SpiffeId): readonly RecordId[] | undefined {
  const list = isObject(answer) ? answer['ids'] : undefined
  if (!Array.isArray(list)) return undefined
  const ids = list.map((item: Json) => {
    const { epoch: text, seq } = isObject(item) ? item : {}
    const epoch = typeof text === 'string' ? parseEpoch(text) : undefined
    return epoch && typeof seq === 'number' && Number.isSafeInteger(seq) && seq >= 0
      ? { producer, epoch, seq }
      : undefined
  })
  return ids.includes(undefined) ? undefined : (ids as RecordId[])
}

/** Undefined where it names none. */
function quarantineIn(answer: unknown): readonly Quarantined[] | undefined {
  const list = isObject(answer) ? answer['quarantine'] : undefined
  if (!Array.isArray(list)) return undefined
  return list.slice(0, maxQuarantined).flatMap((item: unknown): Quarantined[] => {
    const { id: text, until_ms: untilMs, reason } = isObject(item) ? item : {}
    const id = typeof text === 'string' ? parseSpiffeId(text) : undefined
    if (!id || typeof reason !== 'string') return []
    return [{ id, ...(typeof untilMs === 'number' && { untilMs }), reason }]
  })
}

const clip = (text: string, length: number): string => text.slice(0, length).toWellFormed()
