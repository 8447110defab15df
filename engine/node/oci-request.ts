/** One request to a registry: the manifest that a reference names, and its layer where that is news. */

import { createHash } from 'node:crypto'
import { WritError } from '../../core/fault.ts'
import { isObject, parseJson } from '../../core/json.ts'
import { wrongUrl } from '../bundle-url.ts'
import { bundleLayer, isDigest, manifestType, type OciLayer, type OciReference, parseChallenge } from '../oci.ts'
import { answerTimeoutMs, boundedBytes, readSecret, statusFault, translated, unavailable } from './bundle-http.ts'
import type { BundleAnswer } from './bundle-request.ts'

export interface OciPlace extends OciReference {
  /** Of the registry: `https://ghcr.io`. */
  readonly url: string
  /** File with `user:password`, or with a bearer token. Default: nobody in particular asks. */
  readonly tokenFile?: string
  /** Longest bundle, in bytes. */
  readonly maxBytes: number
}

const maxManifestBytes = 1024 ** 2
const maxTokenAnswerBytes = 64 * 1024
/** Registries keep layers elsewhere, and say where; each of these places may know a better one. */
const maxRedirects = 3

/**
 * `known` is the digest of the manifest that was there last: a tag that still names it is no news. Manifest and layer are
 * held against their digests. Throws `unavailable`, `unauthorized` or `policy_invalid`, each with what the registry did.
 */
export async function requestOci(
  place: OciPlace,
  known: string | undefined,
  signal: AbortSignal,
): Promise<BundleAnswer> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(answerTimeoutMs)])
  try {
    const asking = await openAsking(place, within)
    const manifest = await boundedBytes(await asking(`manifests/${place.reference}`, manifestType), maxManifestBytes)
    const etag = digestOf(manifest)
    if (isDigest(place.reference) && etag !== place.reference) throw changed('the manifest', place.reference)
    if (etag === known) return { kind: 'unchanged' }
    return { kind: 'bundle', bytes: await layerBytes(manifest, place, asking), etag, longPoll: false }
  } catch (thrown) {
    throw translated(thrown)
  }
}

async function layerBytes(manifest: Uint8Array, { maxBytes }: OciPlace, asking: Asking): Promise<Uint8Array> {
  const layer: OciLayer = bundleLayer(new TextDecoder().decode(manifest))
  if (layer.size > maxBytes) {
    throw new WritError('policy_invalid', `its bundle has ${layer.size} bytes, where ${maxBytes} are allowed`)
  }
  const bytes = await boundedBytes(await asking(`blobs/${layer.digest}`, '*/*'), layer.size)
  if (digestOf(bytes) !== layer.digest) throw changed('the bundle', layer.digest)
  return bytes
}

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

const changed = (what: string, digest: string): WritError =>
  new WritError('policy_invalid', `${what} that the registry gave is not the one of ${digest}`)

/** Asks for something of the repository; resolves with an answer of status 200. */
type Asking = (what: string, accept: string) => Promise<Response>

/** The registry says at the first request whom it wants to know, and who vouches (distribution specification, token). */
async function openAsking({ url, repository, tokenFile }: OciPlace, signal: AbortSignal): Promise<Asking> {
  const secret = tokenFile === undefined ? undefined : await readSecret(tokenFile)
  const basic = secret?.includes(':') ? `Basic ${Buffer.from(secret).toString('base64')}` : undefined
  let authorization = secret !== undefined && basic === undefined ? `Bearer ${secret}` : undefined

  return async (what, accept) => {
    const target = `${url.replace(/\/+$/, '')}/v2/${repository}/${what}`
    const ask = (): Promise<Response> => follow(target, { accept, ...(authorization ? { authorization } : {}) }, signal)
    let response = await ask()
    if (response.status === 401 && authorization === undefined) {
      const challenge = parseChallenge(response.headers.get('www-authenticate') ?? '')
      await response.body?.cancel()
      if (challenge?.scheme === 'basic') authorization = basic
      if (challenge?.scheme === 'bearer') authorization = `Bearer ${await tokenFrom(challenge, basic, signal)}`
      if (authorization === undefined) throw statusFault(401)
      response = await ask()
    }
    if (response.status === 200) return response
    await response.body?.cancel()
    if (response.status === 404) throw unavailable(`it has no ${what} of ${repository}`)
    throw statusFault(response.status)
  }
}

/** What a registry redirects to sees no credential of ours, and what it gives is held against its digest. */
async function follow(target: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
  let response = await fetch(target, { headers, redirect: 'manual', signal })
  const accept = { accept: headers['accept']! }
  for (let left = maxRedirects, at = target; left > 0 && [301, 302, 303, 307, 308].includes(response.status); left--) {
    await response.body?.cancel()
    const next = new URL(response.headers.get('location') ?? '', at)
    const wrong = wrongUrl(`${next.protocol}//${next.host}`)
    if (wrong) throw unavailable(`it redirects to ${next.host}, which ${wrong}`)
    at = next.href
    response = await fetch(at, { headers: accept, redirect: 'manual', signal })
  }
  return response
}

async function tokenFrom(
  { realm, service, scope }: { readonly realm: string; readonly service?: string; readonly scope?: string },
  basic: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  const url = URL.canParse(realm) ? new URL(realm) : undefined
  const wrong = url ? wrongUrl(`${url.protocol}//${url.host}`) : 'is no URL'
  if (!url || wrong) throw unavailable(`it asks for a token of ${realm.slice(0, 256)}, which ${wrong}`)
  if (service !== undefined) url.searchParams.set('service', service)
  if (scope !== undefined) url.searchParams.set('scope', scope)
  const headers: Record<string, string> = basic === undefined ? {} : { authorization: basic }
  const response = await fetch(url, { headers, redirect: 'manual', signal })
  if (response.status !== 200) {
    await response.body?.cancel()
    throw statusFault(response.status)
  }
  const answer = parseJson(new TextDecoder().decode(await boundedBytes(response, maxTokenAnswerBytes)))
  const token = isObject(answer) ? (answer['token'] ?? answer['access_token']) : undefined
  if (typeof token === 'string' && /^[\x21-\x7e]{1,16384}$/.test(token)) return token
  throw unavailable(`${url.host} gave no token`)
}
