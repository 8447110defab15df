/** All findings of a policy, from its parsed modules, its data, and what OPA's compiler says. Nothing is read here. */

import { fromUtf8 } from '../../core/bytes.ts'
import { type Json, parseJson } from '../../core/json.ts'
import { isData } from '../structured.ts'
import type { TarFile } from '../tar.ts'
import { findEntrypoints, findOutsideRoots } from './entrypoints.ts'
import { type Finding, finding } from './finding.ts'
import type { Module } from './module.ts'
import { findOpen } from './open.ts'
import { lintPolicy } from './policy.ts'
import type { Problem } from './problems.ts'
import { findShadowed } from './shadowed.ts'
import { silenced } from './silence.ts'
import { findUnidentified } from './unidentified.ts'
import { findUnstable } from './unstable.ts'
import { findUnused } from './unused.ts'
import { findWildcards, findWildcardsInData } from './wildcard.ts'

export interface LintInput {
  readonly modules: readonly Module[]
  /** Data and manifest among them. */
  readonly files: readonly TarFile[]
  readonly problems: readonly Problem[]
  readonly builtins: Builtins
  /** Entry points beside those that metadata names, such as `writ/authz/result`. */
  readonly entrypoints?: readonly string[]
}

export interface Builtins {
  readonly names: ReadonlySet<string>
  readonly nondeterministic: ReadonlySet<string>
}

/** In order of place. */
export function lint({ modules, files, problems, builtins, entrypoints }: LintInput): readonly Finding[] {
  const policy = lintPolicy(modules, entrypoints)
  const all = [
    ...findUnused(policy),
    ...findShadowed(policy, builtins.names),
    ...findUnidentified(policy),
    ...findOpen(policy),
    ...findWildcards(policy),
    ...files.filter(({ name }) => isData(name)).flatMap(findWildcardsInData),
    ...findUnstable(policy, builtins.nondeterministic),
    ...findEntrypoints(policy),
    ...findOutsideRoots(policy, manifestOf(files)),
    ...problems.flatMap(ofCompiler),
  ]
  return silenced(all, modules).toSorted(byPlace)
}

function manifestOf(files: readonly TarFile[]): Json | undefined {
  const file = files.find(({ name }) => name === '.manifest')
  try {
    return file && parseJson(fromUtf8(file.bytes))
  } catch {
    return undefined
  }
}

/** What OPA rejects. A package outside of the roots is found above, with its place. */
export function ofCompiler({ place, message, cure }: Problem): readonly Finding[] {
  if (/^bundle .*manifest roots/.test(message)) return []
  const at = place ?? { file: '.', row: 1, column: 1 }
  if (/^import .* unused$/.test(message)) return [finding('unused-import', at, message, cure ?? 'take it away')]
  if (/ var .* unused$|^unused argument/.test(message)) {
    return [finding('unused-variable', at, message, cure ?? 'take it away, or write _ in its place')]
  }
  return [finding('rejected', at, message, cure ?? 'mend it: it does not compile')]
}

const byPlace = ({ place: a }: Finding, { place: b }: Finding): number =>
  a.file < b.file ? -1 : a.file > b.file ? 1 : a.row - b.row || a.column - b.column

/** As `opa capabilities` prints them. */
export function readBuiltins(capabilities: Json | undefined): Builtins {
  const list = (capabilities as { readonly builtins?: unknown } | undefined)?.builtins
  const builtins = Array.isArray(list) ? (list as readonly { name?: unknown; nondeterministic?: unknown }[]) : []
  const named = (wanted: readonly { name?: unknown }[]): ReadonlySet<string> =>
    new Set(wanted.flatMap(({ name }) => (typeof name === 'string' ? [name] : [])))
  return { names: named(builtins), nondeterministic: named(builtins.filter((one) => one.nondeterministic === true)) }
}
