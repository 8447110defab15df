/** What an exchange changes of heads, in the form that writers take. */

import type { Onward } from '../exchange.ts'
import type { FieldChanges, RequestChanges } from '../http1/write.ts'

export const requestChanges = ({ setHeaders, removeHeaders, target }: Onward): RequestChanges => ({
  set: setHeaders,
  remove: removeHeaders,
  target,
})

/** A 204 has no body, so no length either. */
export function responseChanges({ setResponseHeaders, ...more }: Onward, status: number): FieldChanges {
  const remove = more.removeResponseHeaders ?? none
  const changes = { set: setResponseHeaders, remove: status === 204 ? [...remove, 'content-length'] : remove }
  return more.addResponseHeaders ? { ...changes, add: more.addResponseHeaders } : changes
}

const none: readonly string[] = []
