/** One request of OPA's bundle service API: GET, with the ETag of what is there already. */

import { readFile } from 'node:fs/promises'
import { concat } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'

export interface BundlePlace {
  /** As `bundleUrl` makes it. */
  readonly url: string
  /** File with a bearer token, read anew for each request, so that it can be renewed. Default none is sent. */
  readonly tokenFile?: string
  /** Longest answer, in bytes. */
  readonly maxBytes: number
}

export type BundleAnswer =
  | {
      readonly kind: 'bundle'
      readonly bytes: Uint8Array
      readonly etag: string | undefined
      /** Whether the server can hold a request until there is news. */
      readonly longPoll: boolean
    }
  | { readonly kind: 'unchanged' }

const longPollType = 'application/vnd.openpolicyagent.bundles'

/** Time for a whole answer, beyond what the server was asked to wait, in milliseconds. */
const timeoutMs = 60_000

/** Throws `unavailable`, `unauthorized` or `policy_invalid`, each with what the server did. */
export async function requestBundle(
  place: BundlePlace,
  known: { readonly etag: string | undefined; readonly waitS: number },
  signal: AbortSignal,
): Promise<BundleAnswer> {
  const headers: Record<string, string> = {
    prefer: known.waitS > 0 ? `modes=snapshot;wait=${known.waitS}` : 'modes=snapshot',
    ...(known.etag === undefined ? {} : { 'if-none-match': known.etag }),
    ...(place.tokenFile === undefined ? {} : { authorization: `Bearer ${await readToken(place.tokenFile)}` }),
  }
  const within = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs + known.waitS * 1000)])
  try {
    const response = await fetch(place.url, { headers, redirect: 'manual', signal: within })
    if (response.status === 200) return await bundleOf(response, place.maxBytes)
    await response.body?.cancel()
    if (response.status === 304 && known.etag !== undefined) return { kind: 'unchanged' }
    throw statusFault(response.status)
  } catch (thrown) {
    if (thrown instanceof WritError) throw thrown
    throw unavailable(`it cannot be asked: ${reasonOf(thrown)}`, thrown)
  }
}

async function bundleOf(response: Response, maxBytes: number): Promise<BundleAnswer> {
  const bytes = await bounded(response, maxBytes)
  if (bytes.length === 0) throw unavailable('it answered with nothing')
  const type = response.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  return { kind: 'bundle', bytes, etag: response.headers.get('etag') ?? undefined, longPoll: type === longPollType }
}

async function bounded(response: Response, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body ?? []) {
    length += chunk.length
    if (length > maxBytes) throw new WritError('policy_invalid', `its answer is longer than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return concat(...chunks)
}

function statusFault(status: number): WritError {
  if (status >= 300 && status < 400 && status !== 304) {
    return unavailable(`it answered with a redirect (${status}), which is not followed: name the place itself`)
  }
  if (status === 401 || status === 403) {
    return new WritError('unauthorized', `it answered ${status}`, { cure: 'Renew the token in tokenFile.' })
  }
  return unavailable(`it answered ${status}`)
}

/** fetch hides what happened behind "fetch failed". */
const reasonOf = (thrown: unknown): string =>
  thrown instanceof Error && thrown.cause !== undefined ? messageOf(thrown.cause) : messageOf(thrown)

const maxTokenBytes = 16 * 1024

async function readToken(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new WritError('unauthorized', `the token ${file} cannot be read: ${messageOf(cause)}`, { cause })
  })
  const token = text.trim()
  // RFC 6750 section 2.1.
  if (token.length <= maxTokenBytes && /^[A-Za-z0-9._~+/-]+=*$/.test(token)) return token
  throw new WritError('unauthorized', `${file} holds no bearer token`)
}

const unavailable = (why: string, cause?: unknown): WritError =>
  new WritError('unavailable', why, cause === undefined ? {} : { cause })
