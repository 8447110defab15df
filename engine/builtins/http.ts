/**
 * `http.send`, which is there where the host gives it. An evaluation does not wait: answers come from outside of it
 * (engine/asking.ts), or from a record, and each is noted.
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
