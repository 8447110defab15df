/** Names of hosts and mailboxes, as certificates hold them. */

/** Labels of visible characters between single dots; nothing at all is let pass too, as Go does. */
export const isDomain = (text: string): boolean => text === '' || /^[!-\-/-~]+(?:\.[!-\-/-~]+)*$/.test(text)

/** One that constrains others: a dot before it leaves out the domain itself. */
export const isDomainConstraint = (text: string): boolean => isDomain(text) || isDomain(text.replace(/^\./, '') || '.')

export interface Mailbox {
  readonly local: string
  /** In lower case. */
  readonly domain: string
}

const quoted = /^"((?:[\x01-\x08\x0b\x0c\x0e-!#-[\]-\x7f]|\\[\x01-\x09\x0b\x0c\x0e-\x7f])*)"@(.+)$/
const plain = /^((?:[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~.]|\\[\x01-\x7f])+)@(.+)$/

/** RFC 2821 section 4.1.2, with what RFC 3696 adds; undefined where it is none. */
export function readMailbox(text: string): Mailbox | undefined {
  const isQuoted = text.startsWith('"')
  const [, written, domain] = (isQuoted ? quoted : plain).exec(text) ?? []
  if (written === undefined || domain === undefined || !isDomain(domain)) return undefined
  const local = written.replace(/\\(.)/gs, '$1')
  if (!isQuoted && (local.startsWith('.') || local.endsWith('.') || local.includes('..'))) return undefined
  return { local, domain: domain.toLowerCase() }
}

/** Does a certificate's DNS name stand for this host? A star stands for the first label (RFC 6125 section 6.4.3). */
export function matchesHost(name: string, host: string): boolean {
  const wanted = host.toLowerCase()
  const given = name.toLowerCase()
  if (!isHostname(wanted.replace(/\.$/, '')) || !isHostname(given.replace(/^\*\./, 'x.'))) {
    return given === wanted && given !== '' && given !== '.'
  }
  const parts = wanted.replace(/\.$/, '').split('.')
  const pattern = given.split('.')
  return pattern.length === parts.length && pattern.every((part, i) => (i === 0 && part === '*') || part === parts[i])
}

const isHostname = (text: string): boolean => /^[a-z0-9_][a-z0-9_-]*(?:\.[a-z0-9_][a-z0-9_-]*)*$/.test(text)
