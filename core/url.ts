/** URLs that bytes may be sent to. */

const loopback = /^(?:localhost|::1|127(?:\.[0-9]{1,3}){3})$/
/** Of a host or an address without brackets. */
export const isLoopback = (host: string): boolean => loopback.test(host)

/** Whether a URL's host, which has brackets around an IPv6 address, is this machine. */
export const leadsHere = ({ hostname }: URL): boolean => isLoopback(hostname.replace(/^\[|\]$/g, ''))

/**
 * An https URL, or an http URL on loopback, in which nobody's credentials stand and no fragment; undefined for any other
 * text: what is on the wire is protected, or never on one.
 */
export function protectedUrl(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  if (url.username + url.password + url.hash !== '') return undefined
  return url.protocol === 'https:' || (url.protocol === 'http:' && leadsHere(url)) ? url : undefined
}
