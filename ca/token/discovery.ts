/** Keys of an issuer that are found by its discovery document (OpenID Connect Discovery section 4). */

import { fromUtf8 } from '../../core/bytes.ts'
import { isObject, parseJson } from '../../core/json.ts'
import type { FetchKeys } from './keys.ts'

const path = '/.well-known/openid-configuration'
/** Longest discovery document, in bytes. */
const maxDocument = 64 * 1024

/**
 * Where the URL is of a discovery document, asks for the keys that it names: https, or http on the same loopback host.
 * The document has to be of the issuer in whose place it stands (section 4.3).
 */
export const discoverKeys =
  (fetchKeys: FetchKeys): FetchKeys =>
  async (url, options) => {
    if (!url.endsWith(path)) return fetchKeys(url, options)
    const value = parseJson(fromUtf8(await fetchKeys(url, { ...options, maxBytes: maxDocument })))
    const { issuer, jwks_uri: keys } = isObject(value) ? value : {}
    const expected = url.slice(0, -path.length)
    if (typeof issuer !== 'string' || issuer.replace(/\/$/, '') !== expected) {
      throw new Error(`its discovery document is of ${JSON.stringify(issuer ?? null)}, not of ${expected}`)
    }
    if (typeof keys !== 'string' || !URL.canParse(keys)) throw new Error('its discovery document names no jwks_uri')
    const { protocol, host } = new URL(keys)
    const sameHost = new URL(url).protocol === 'http:' && protocol === 'http:' && host === new URL(url).host
    if (protocol !== 'https:' && !sameHost) throw new Error('its jwks_uri is no https URL')
    return fetchKeys(keys, options)
  }
