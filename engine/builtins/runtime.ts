/** opa.runtime, trace and print, which look out of a policy, and rego.parse_module. */

import { messageOf } from '../../core/fault.ts'
import { objectOf, type Value } from '../value.ts'
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from './builtin.ts'
import { stringOf } from './operand.ts'

function parseModule({ host }: BuiltinContext, name: Value, rego: Value): Value | undefined {
  try {
    return host.parseModule?.(stringOf(name), stringOf(rego))
  } catch (thrown) {
    throw new BuiltinError(messageOf(thrown))
  }
}

export const runtime: BuiltinFamily = {
  // Configuration and environment stay outside: what decides is facts and bundle alone.
  'opa.runtime': (context) => {
    const nothing = objectOf([])
    context.record('opa.runtime', [], nothing)
    return nothing
  },
  // Nobody listens: notes would say what a request held.
  trace: (_, note) => {
    stringOf(note)
    return true
  },
  'internal.print': () => true,
  'rego.parse_module': parseModule,
}
