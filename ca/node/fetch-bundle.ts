/** Asks a bundle endpoint of another trust domain, by the profile that is configured for it (SPIFFE Federation section 5). */

import { fromUtf8 } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { FederatedDomain } from '../../core/federation.ts'
import type { TrustBundle } from '../../core/identity.ts'
import { type SpiffeId, type TrustDomain, trustDomainOf } from '../../core/spiffe.ts'
import { maxBundleText, readBundle } from '../bundle.ts'
import { call } from './https.ts'
import { whyNot } from './server.ts'
import { askWeb } from './web.ts'

export interface FetchBundle {
  readonly domain: FederatedDomain
  /** The newest bundle of a trust domain that we hold: what an https_spiffe endpoint is judged by. */
  readonly bundleOf: (trustDomain: TrustDomain) => TrustBundle | undefined
  readonly nowMs: () => number
  /** Time for the whole of it, in milliseconds. Default 10 000. */
  readonly timeoutMs?: number
}

interface Answer {
  readonly status: number
  readonly location: string | undefined
  readonly text: string
}

/** Redirects that are followed, none of them remembered (section 5.3). */
const maxRedirects = 3

/** Rejects with `unavailable` where nothing of use was answered, with `certificate_invalid` where it is somebody else. */
export async function fetchBundle(options: FetchBundle): Promise<TrustBundle> {
  const { domain } = options
  let url = wholeUrl(domain.url)
  for (let redirects = 0; ; redirects++) {
    const { status, location, text } =
      domain.profile.kind === 'https_web' ? await overWeb(url, options) : await overSpiffe(url, options)
    if (status >= 300 && status < 400 && location !== undefined) {
      if (redirects === maxRedirects) throw unavailable(options, `more than ${maxRedirects} redirects`)
      // Whoever it leads to has to be valid by the same profile, and of the same id.
      url = wholeUrl(new URL(location, url).href)
      continue
    }
    if (status !== 200) throw unavailable(options, `it answered ${status}`)
    const read = readBundle(text, domain.trustDomain)
    if ('wrong' in read) throw unavailable(options, `what it gave ${read.wrong}`)
    return read.bundle
  }
}

/** Section 5.2.1: https, and no user information. */
function wholeUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol === 'https:' && url.username === '' && url.password === '') return url
  throw new WritError('config_invalid', `${text} is no URL of a bundle endpoint`, {
    cure: 'write https:// and no user information',
  })
}

const unavailable = ({ domain }: FetchBundle, why: string, cause?: unknown): WritError =>
  new WritError('unavailable', `${domain.url} gave no bundle of ${domain.trustDomain}: ${why}`, {
    cure: 'ask its operators; the last bundle stays in force',
    cause,
  })

/** By the Web PKI, as any HTTPS client: the name of the URL and roots of the machine, or those that are configured. */
async function overWeb(url: URL, options: FetchBundle): Promise<Answer> {
  const { profile } = options.domain
  const roots = profile.kind === 'https_web' ? profile.roots : undefined
  const headers = { accept: 'application/json' }
  const { timeoutMs } = options
  try {
    const { bytes, ...answer } = await askWeb({
      url,
      method: 'GET',
      headers,
      roots,
      timeoutMs,
      maxBytes: maxBundleText,
    })
    return { ...answer, text: fromUtf8(bytes) }
  } catch (thrown) {
    throw unavailable(options, messageOf(thrown), thrown)
  }
}

/** By an X509-SVID of exactly the configured id, under the newest bundle of that id's trust domain (section 5.2.2). */
async function overSpiffe(url: URL, options: FetchBundle): Promise<Answer> {
  const { profile } = options.domain
  if (profile.kind !== 'https_spiffe') throw new WritError('internal', 'not of this profile')
  const { status, headers, bytes } = await call({
    url: url.origin,
    method: 'GET',
    path: `${url.pathname}${url.search}`,
    headers: { accept: 'application/json' },
    judge: (chain) => judge(chain, profile.endpointId, options),
    minVersion: 'TLSv1.2',
    timeoutMs: options.timeoutMs,
    maxBytes: maxBundleText,
  })
  try {
    return { status, location: headers.location, text: fromUtf8(bytes) }
  } catch (thrown) {
    throw unavailable(options, messageOf(thrown), thrown)
  }
}

function judge(chain: readonly Uint8Array[], endpointId: SpiffeId, { domain, bundleOf, nowMs }: FetchBundle): void {
  const held = bundleOf(trustDomainOf(endpointId))
  const why = whyNot(chain, endpointId, { bundles: new Map(held ? [[held.trustDomain, held]] : []) }, nowMs())
  if (why === undefined) return
  throw new WritError('certificate_invalid', `${domain.url} is not ${endpointId}: ${why}`, {
    cure: 'get the newest bundle from its operators, by a way that you trust, and give it as bundleFile',
  })
}
