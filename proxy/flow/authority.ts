/** The two parts of an authority in normal form, `host:port` or `[::1]:port` (RFC 3986 section 3.2). */

const colonOf = (authority: string): number => (authority.endsWith(']') ? -1 : authority.lastIndexOf(':'))

/** A port does not change which service is meant (Gateway API, HTTPRoute hostnames). */
export function hostOf(authority: string): string {
  const colon = colonOf(authority)
  return colon < 0 ? authority : authority.slice(0, colon)
}

export function portOf(authority: string): number | undefined {
  const colon = colonOf(authority)
  return colon < 0 ? undefined : Number(authority.slice(colon + 1))
}
