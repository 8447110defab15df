/** What a builtin of the host is: a function of values, with what one evaluation gives it. */

import type { RegoObject, Value } from '../value.ts'
import type { Given } from '../world.ts'
import type { PatternCache } from './patterns.ts'

/** Returns undefined where Rego's answer is undefined. Throws `BuiltinError`; anything else ends the evaluation. */
export type Builtin = (context: BuiltinContext, ...args: Value[]) => Value | undefined

/** One file's builtins by name. */
export type BuiltinFamily = Readonly<Record<string, Builtin>>

/** What was asked cannot be answered: undefined in Rego, and the evaluation goes on. */
export class BuiltinError extends Error {}

/** More was asked for than an evaluation may take, so it ends: undefined would be an answer, and there is none. */
export class LimitError extends Error {}

/** Lives for one evaluation; `patterns` lives as long as the policy does. */
export interface BuiltinContext {
  /** The same however often it is asked. */
  readonly nowNs: bigint
  /** Bytes that follow from the evaluation's seed and from what was drawn before: they repeat in a replay. */
  random(length: number): Uint8Array
  /** The first value made for `key` in this evaluation, as OPA gives `rand.intn("x", 5)` one answer per query. */
  once<T>(key: string, make: () => T): T
  /**
   * Takes steps from those that the evaluation has, and throws a LimitError where fewer are left. For builtins that may
   * do far more than read what they are given and write what they answer, which is paid for already.
   */
  spend(steps: number): void
  /** Notes an answer that the world gave, for the decision's `nd_builtin_cache`. */
  record(name: string, args: readonly Value[], result: Value | undefined): void
  /** An answer of the world that is at hand already: from a record, or from a request that was sent meanwhile. */
  readonly given?: Given | undefined
  /** Compiled patterns, schemas and the like. */
  readonly patterns: PatternCache
  /** What this host can do beyond calculating; nothing by default. */
  readonly host: BuiltinHost
}

/** Answers of the world, which must be at hand at once: an evaluation does not wait. */
export interface BuiltinHost {
  /** Addresses of a name, or undefined where it has none. */
  readonly lookupIpAddr?: (name: string) => readonly string[] | undefined
  /** The syntax tree of a Rego module as JSON; throws where it does not parse. */
  readonly parseModule?: (filename: string, rego: string) => Value
  /** The response to a request, both as `http.send` has them. Throws a BuiltinError where there is none. */
  readonly httpSend?: (request: RegoObject) => Value
}
