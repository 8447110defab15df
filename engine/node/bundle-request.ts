/** One request of OPA's bundle service API: GET, with the ETag of what is there already. */

import { answerTimeoutMs, boundedBytes, readToken, statusFault, translated, unavailable } from './bundle-http.ts'

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
  const within = AbortSignal.any([signal, AbortSignal.timeout(answerTimeoutMs + known.waitS * 1000)])
  try {
    const response = await fetch(place.url, { headers, redirect: 'manual', signal: within })
    if (response.status === 200) return await bundleOf(response, place.maxBytes)
    await response.body?.cancel()
    if (response.status === 304 && known.etag !== undefined) return { kind: 'unchanged' }
    throw statusFault(response.status)
  } catch (thrown) {
    throw translated(thrown)
  }
}

async function bundleOf(response: Response, maxBytes: number): Promise<BundleAnswer> {
  const bytes = await boundedBytes(response, maxBytes)
  if (bytes.length === 0) throw unavailable('it answered with nothing')
  const type = response.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  return { kind: 'bundle', bytes, etag: response.headers.get('etag') ?? undefined, longPoll: type === longPollType }
}
