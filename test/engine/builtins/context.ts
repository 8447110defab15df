import type { BuiltinContext, BuiltinHost } from '../../../engine/builtins/builtin.ts'
import { makeContext } from '../../../engine/builtins/context.ts'
import { makePatternCache } from '../../../engine/builtins/patterns.ts'
import type { Value } from '../../../engine/value.ts'

export interface Noted {
  readonly name: string
  readonly args: readonly Value[]
  readonly result: Value | undefined
}

/** A context at a time in seconds since 1970, that notes into `noted`. */
export function contextAt(seconds: number = 0, host: BuiltinHost = {}, noted: Noted[] = []): BuiltinContext {
  return makeContext(
    {
      nowNs: BigInt(seconds) * 1_000_000_000n,
      seed: () => new Uint8Array(32),
      record: (name, args, result) => noted.push({ name, args, result }),
    },
    makePatternCache(),
    host,
  )
}
