/** Calls one builtin with arguments in OPA's value syntax. */

import { type BuiltinContext, BuiltinError, type BuiltinHost } from '../../../engine/builtins/builtin.ts'
import { makeContext } from '../../../engine/builtins/context.ts'
import { builtins } from '../../../engine/builtins/index.ts'
import { makePatternCache } from '../../../engine/builtins/patterns.ts'
import { formatValue, parseValue } from '../../../engine/value.ts'

export const contextAt = (nowNs: bigint = 0n, host: BuiltinHost = {}): BuiltinContext =>
  makeContext({ nowNs, seed: () => Uint8Array.of(1) }, makePatternCache(), host)

/** The answer in value syntax; 'undefined' where it is that or a BuiltinError. What else is thrown is thrown. */
export function ask(name: string, ...args: readonly string[]): string {
  return askIn(contextAt(), name, ...args)
}

export function askIn(context: BuiltinContext, name: string, ...args: readonly string[]): string {
  try {
    const answer = builtins.get(name)!(context, ...args.map(parseValue))
    return answer === undefined ? 'undefined' : formatValue(answer)
  } catch (thrown) {
    if (thrown instanceof BuiltinError) return 'undefined'
    throw thrown
  }
}
