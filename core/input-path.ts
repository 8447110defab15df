/** Parts of a policy's input, named by paths: what a policy may read, and a value with nothing else left in it. */

import { isObject, type Json } from './json.ts'
import type { InputPath } from './policy.ts'

/** Paths as a tree: `whole`, or the members that are read, each with what is read of it. */
export type Parts = 'whole' | ReadonlyMap<string, Parts>

/** The input as a whole, for all that is not known better. */
export const wholeInput: readonly InputPath[] = [[]]

export function partsOf(paths: readonly InputPath[]): Parts {
  const root = new Map<string, Parts>()
  for (const path of paths) {
    if (path.length === 0) return 'whole'
    add(root, path)
  }
  return root
}

function add(root: Map<string, Parts>, path: InputPath): void {
  let here = root
  for (const [i, step] of path.entries()) {
    const below = here.get(step)
    if (below === 'whole') return
    const next = (below as Map<string, Parts> | undefined) ?? new Map<string, Parts>()
    here.set(step, i === path.length - 1 ? 'whole' : next)
    here = next
  }
}

/** Of objects the members that are among the parts, also where nothing is left of them; anything else as it is. */
export function projected(value: Json, parts: Parts): Json {
  if (parts === 'whole' || !isObject(value)) return value
  const kept: { [key: string]: Json } = Object.create(null) // A member may be called `__proto__`.
  for (const [name, below] of parts) {
    const member = Object.hasOwn(value, name) ? value[name] : undefined
    if (member !== undefined) kept[name] = projected(member, below)
  }
  return kept
}

/** In order, and without those that are below others. */
export function leastPaths(paths: Iterable<InputPath>): readonly InputPath[] {
  const kept: InputPath[] = []
  // Whatever begins a path comes before it, and so does all that begins with the same.
  for (const path of [...paths].sort(comparePaths)) if (!begins(kept.at(-1), path)) kept.push(path)
  return kept
}

/** Whether `start` is a beginning of `path`, or all of it. */
export const begins = (start: InputPath | undefined, path: InputPath): boolean =>
  start !== undefined && start.length <= path.length && start.every((step, i) => step === path[i])

function comparePaths(a: InputPath, b: InputPath): number {
  for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i]! < b[i]! ? -1 : 1
  return a.length - b.length
}
