/** What a browser of another origin may ask (Fetch, CORS protocol), and the answer to its preflights. */

import type { RequestHead } from '../../../core/facts.ts'
import type { Cors, HeaderChanges } from '../../../core/filters.ts'
import { fieldOf, type Refusal } from '../../exchange.ts'

export const isPreflight = (head: RequestHead): boolean =>
  head.method === 'OPTIONS' &&
  fieldOf(head, 'origin') !== undefined &&
  fieldOf(head, 'access-control-request-method') !== undefined

/** The answer to a preflight, which says nothing where its origin is not allowed; undefined for any other request. */
export function preflightAnswer(head: RequestHead, cors: Cors): Refusal | undefined {
  if (!isPreflight(head)) return undefined
  const origin = fieldOf(head, 'origin')!
  const method = fieldOf(head, 'access-control-request-method')!
  const vary = 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers'
  if (!isAllowed(origin, cors)) return { status: 204, headers: { vary }, body: '' }
  const asked = fieldOf(head, 'access-control-request-headers')
  const headers: Record<string, string> = {
    vary,
    ...ofOrigin(origin, cors),
    'access-control-max-age': String(cors.maxAgeS),
  }
  // A star means nothing to a browser that sends credentials.
  const methods = cors.methods.includes('*') && cors.credentials ? method : cors.methods.join(', ')
  const allowed = cors.headers.includes('*') && cors.credentials ? asked : cors.headers.join(', ')
  if (methods !== '') headers['access-control-allow-methods'] = methods
  if (allowed) headers['access-control-allow-headers'] = allowed
  return { status: 204, headers, body: '' }
}

/** What the answer to any other request says. The route's word holds, whatever the service says of it. */
export function corsChanges(head: RequestHead, cors: Cors): HeaderChanges {
  const origin = fieldOf(head, 'origin')
  const add = { vary: 'Origin' }
  if (origin === undefined || !isAllowed(origin, cors)) return { add, remove: theirs }
  const expose = cors.expose.length > 0 && { 'access-control-expose-headers': cors.expose.join(', ') }
  return { add, remove: theirs, set: { ...ofOrigin(origin, cors), ...expose } }
}

const theirs = ['access-control-allow-origin', 'access-control-allow-credentials', 'access-control-expose-headers']

const ofOrigin = (origin: string, { origins, credentials }: Cors): Record<string, string> =>
  credentials
    ? { 'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true' }
    : { 'access-control-allow-origin': origins.includes('*') ? '*' : origin }

/** A star stands for one or more labels. What may not stand in a field is nobody's origin. */
function isAllowed(origin: string, { origins }: Cors): boolean {
  if (!/^[\x21-\x7e]{1,512}$/.test(origin)) return false
  const lower = origin.toLowerCase()
  return origins.some((one) => {
    if (one === '*' || one === lower) return true
    const star = one.indexOf('*.')
    if (star < 0) return false
    const [before, after] = [one.slice(0, star), one.slice(star + 1)]
    if (!lower.startsWith(before) || !lower.endsWith(after)) return false
    return (
      /^[a-z0-9.-]+$/.test(lower.slice(before.length, -after.length)) && lower.length > before.length + after.length
    )
  })
}
