/** How a node gets its first identity without a join token, and how an agent gets those of the workloads on its host. */

import { fromUtf8 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { IdentityState, Svid, TrustBundle } from '../../core/identity.ts'
import { parseJson } from '../../core/json.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import type { RevisedEntry } from '../../core/workload.ts'
import { readEntries } from '../entries.ts'
import { type MintedToken, readTrustNews, type TrustNews } from '../wire.ts'
import { caRequest, type Joined, mintAt, obtain, type Reach } from './client.ts'

/** What a node shows: a token of its platform, or a certificate that it had before. */
export type NodeProof = { readonly token: string } | { readonly certificate: Pick<Svid, 'chain' | 'keyPem'> }

/** `bundle` is by what the control plane is known; nothing promises it as a join token does. */
export function attestNode(
  options: Reach & { readonly bundle: TrustBundle; readonly proof: NodeProof; readonly want?: SpiffeId },
): Promise<Joined> {
  const { proof, bundle, want } = options
  return obtain({
    ...options,
    bundles: new Map([[bundle.trustDomain, bundle]]),
    path: '/v1/attest',
    ...('certificate' in proof && { svid: proof.certificate }),
    with: { ...('token' in proof && { token: proof.token }), ...(want && { id: want }) },
  })
}

type Asking = Reach & { readonly state: IdentityState }

/** A certificate for the workload of an entry, by the agent that is its parent. */
export function issueEntry(options: Asking & { readonly entry: RevisedEntry }): Promise<Joined> {
  const { entry, state } = options
  const { svid, bundles, denied } = state
  const path = `/v1/entries/${entry.name}/svid`
  return obtain({ ...options, svid, bundles, denied, want: entry.id, path, with: {} })
}

export const mintEntry = (
  options: Asking & { readonly entry: string; readonly audiences: readonly string[] },
): Promise<MintedToken> =>
  mintAt({ ...options, path: `/v1/entries/${options.entry}/jwt`, body: { audience: [...options.audiences] } })

export interface Followed<T> {
  readonly value: T
  readonly etag: string
}

/** This agent's entries; undefined where those of `etag` are still it after a wait of some seconds. */
export const followEntries = (
  options: Asking & { readonly etag: string | undefined; readonly signal: AbortSignal },
): Promise<Followed<readonly RevisedEntry[]> | undefined> => follow(options, '/v1/entries', readEntries)

/** The trust bundles of the mesh, and the issuers that are distrusted, the same way. */
export const followBundles = (
  options: Asking & { readonly etag: string | undefined; readonly signal: AbortSignal },
): Promise<Followed<TrustNews> | undefined> => follow(options, '/v1/trust-bundles', readTrustNews)

const waitS = 20

async function follow<T>(
  options: Asking & { readonly etag: string | undefined; readonly signal: AbortSignal },
  path: string,
  read: (value: unknown) => T | undefined,
): Promise<Followed<T> | undefined> {
  const { etag, ...asking } = options
  const wait = etag === undefined ? {} : { etag, waitS, timeoutMs: (waitS + 10) * 1000 }
  const { status, bytes, headers } = await caRequest({ ...asking, method: 'GET', path, ...wait })
  if (status === 304) return undefined
  const value = status === 200 ? read(parseJson(fromUtf8(bytes))) : undefined
  if (value !== undefined) return { value, etag: headers.etag ?? '' }
  throw new WritError('unavailable', `${options.url}${path} answered ${status}`, {
    cure: 'see what the control plane reports',
  })
}
