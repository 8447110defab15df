/**
 * `http.send`, which this engine refuses: a decision that waits for another server is as slow and as available as that
 * server, and gives another answer in a replay. A host that has answers at hand may give `host.httpSend`; each is noted.
 */

import { formatValue, type Value } from '../value.ts'
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from './builtin.ts'
import { readHttpRequest } from './request.ts'

export const http: BuiltinFamily = { 'http.send': send }

/** The same request is sent once per evaluation. */
function send(context: BuiltinContext, request: Value): Value {
  const { members } = readHttpRequest(request)
  const { httpSend } = context.host
  if (!httpSend) throw new BuiltinError('http.send: this host sends no requests for a policy; give it the data instead')
  return context.once(`http.send ${formatValue(members)}`, () => {
    const response = httpSend(members)
    context.record('http.send', [members], response)
    return response
  })
}
