/** The upload of OPA's decision logs (`POST /logs`): gzip or plain, bounded before and after it is inflated, and in rate. */

import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { fromUtf8 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { RecordSink, Sha256 } from '../../core/ports.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { type CollectOpa, makeOpaCollector } from '../opa-collector.ts'
import { splitArray } from '../opa-event.ts'
import { problemResponse } from '../problem.ts'
import { type Allowed, makeRate } from '../rate.ts'
import { readBody, TooLarge } from './http.ts'

/** Longest upload, in bytes, as it comes and inflated, and the most events in one. OPA's own chunks have 32 KiB. */
export const maxUploadBytes: number = 2 * 1024 ** 2
export const maxInflatedBytes: number = 4 * 1024 ** 2
export const maxEvents = 4096

/** Uploads that are read at a time; further ones are refused with 503, and OPA tries again. */
const maxReading = 8

export interface OpaLogParts {
  /** Whom a token speaks for; undefined where it is unknown, over, or for something else. */
  readonly token: (token: string) => SpiffeId | undefined
  readonly sink: RecordSink
  readonly sha256: Sha256
  readonly nowMs: () => number
  /** Events that a name may send, on average and at once. Default 2,000 a second and 20,000; then 429. */
  readonly rate?: { readonly perSecond: number; readonly burst: number }
}

export interface OpaLog {
  readonly token: OpaLogParts['token']
  readonly collect: CollectOpa
  /** Whether this name may send so many now. */
  readonly allowed: (workload: SpiffeId, events: number) => boolean
  reading: number
}

export function makeOpaLog({ token, sink, sha256, nowMs, rate }: OpaLogParts): OpaLog {
  const allowed: Allowed = makeRate({ ...(rate ?? { perSecond: 2000, burst: 20_000 }), sources: 4096 })
  return {
    token,
    collect: makeOpaCollector(sink, sha256),
    // A colon would make the name an address to the table of rates.
    allowed: (workload, events) => allowed(workload.slice('spiffe://'.length), nowMs(), events),
    reading: 0,
  }
}

/** One upload. Throws what the door answers: `TooLarge`, `usage` for what is no array, `audit_unavailable`. */
export async function takeUpload(request: Request, workload: SpiffeId, log: OpaLog): Promise<Response> {
  if (!log.allowed(workload, 1)) return tooMany()
  if (log.reading >= maxReading) {
    throw new WritError('unavailable', `${maxReading} uploads are being read already`, { cure: 'try again' })
  }
  log.reading++
  try {
    const split = splitArray(await textOf(request))
    if (!split.ok) throw new WritError('usage', `the body: ${split.why}`)
    const { items } = split
    if (items.length > maxEvents) throw new TooLarge(`an upload has at most ${maxEvents} events here`)
    if (items.length > 1 && !log.allowed(workload, items.length - 1)) return tooMany()
    return Response.json(await log.collect(workload, items))
  } finally {
    log.reading--
  }
}

async function textOf(request: Request): Promise<string> {
  const encoding = request.headers.get('content-encoding')?.toLowerCase() ?? 'identity'
  if (encoding !== 'gzip' && encoding !== 'identity') {
    throw new WritError('usage', 'the body has an encoding other than gzip')
  }
  const body = await readBody(request, maxUploadBytes)
  try {
    return fromUtf8(encoding === 'gzip' ? await inflated(body) : body)
  } catch (thrown) {
    if (thrown instanceof WritError || thrown instanceof TooLarge) throw thrown
    throw new WritError('usage', 'the body is not UTF-8')
  }
}

const unzip = promisify(gunzip)

/** Stops at the limit: a few bytes can say that they are gigabytes. */
async function inflated(body: Uint8Array): Promise<Uint8Array> {
  try {
    return await unzip(body, { maxOutputLength: maxInflatedBytes })
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      throw new TooLarge(`a body has at most ${maxInflatedBytes} bytes here once it is inflated`)
    }
    throw new WritError('usage', 'the body is not gzip', { cause: thrown })
  }
}

const tooMany = (): Response =>
  problemResponse({
    code: 'unavailable',
    status: 429,
    detail: 'more events than this name may send',
    cure: 'send fewer, or later',
    headers: { 'retry-after': '1' },
  })
