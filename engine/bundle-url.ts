/** Where a bundle server may be: elsewhere behind TLS, in plain HTTP on this machine alone. */

import { WritError } from '../core/fault.ts'

/** The URL of a bundle as OPA composes it. Throws `config_invalid`. */
export function bundleUrl(url: string, resource: string): string {
  const wrong = wrongUrl(url)
  if (wrong) throw new WritError('config_invalid', `${url} ${wrong}`)
  return new URL(`${url.replace(/\/+$/, '')}/${resource.replace(/^\/+/, '')}`).href
}

/** What is wrong with the URL of a service, or undefined. */
export function wrongUrl(url: string): string | undefined {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (!parsed) return 'is no URL'
  if (parsed.username !== '' || parsed.password !== '') return 'holds a password; give a tokenFile'
  if (parsed.search !== '' || parsed.hash !== '') return 'has a query or a fragment; a query belongs into resource'
  if (parsed.protocol === 'https:') return undefined
  if (parsed.protocol !== 'http:') return 'is neither https nor http'
  const loopback = /^(?:localhost|\[::1\]|127(?:\.[0-9]{1,3}){3})$/.test(parsed.hostname)
  return loopback ? undefined : 'is plain HTTP, which is for this machine alone'
}
