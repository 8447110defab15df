/** object.subset and graph.reachable_paths. */

import { equalValues, isArray, RegoObject, RegoSet, setOf, type Value } from '../value.ts'
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from './builtin.ts'
import { itemsOf, objectArg } from './operand.ts'

function subset(context: BuiltinContext, whole: Value, part: Value): boolean {
  const found = isArray(whole) && part instanceof RegoSet ? holdsAll(whole, part) : contained(context, whole, part)
  if (found === undefined) {
    throw new BuiltinError('both arguments object.subset must be of the same type or array and set')
  }
  return found
}

/** Undefined where the types have no parts to compare. */
function contained(context: BuiltinContext, whole: Value, part: Value): boolean | undefined {
  if (whole instanceof RegoObject && part instanceof RegoObject) {
    return part.entries.every(([key, value]) => {
      const other = whole.get(key)
      return other !== undefined && (equalValues(other, value) || contained(context, other, value) === true)
    })
  }
  if (whole instanceof RegoSet && part instanceof RegoSet) return part.items.every((item) => whole.has(item))
  return isArray(whole) && isArray(part) ? containsRun(context, whole, part) : undefined
}

/** One after the other, without gaps. */
function containsRun(context: BuiltinContext, whole: readonly Value[], part: readonly Value[]): boolean {
  for (let at = 0; at + part.length <= whole.length; at++) {
    const differs = part.findIndex((item, i) => !equalValues(item, whole[at + i]!))
    if (differs < 0) return true
    context.spend(differs + 1)
  }
  return false
}

/** OPA counts the elements of the array that are in the set, so that one that stands there twice counts twice. */
function holdsAll(whole: readonly Value[], part: RegoSet): boolean {
  return whole.length > 0 && whole.filter((item) => part.has(item)).length >= part.size
}

const maxPaths = 100_000

function reachablePaths(context: BuiltinContext, graph: Value, initial: Value): Value {
  const edges = objectArg(graph)
  const paths: (readonly Value[])[] = []
  const keep = (path: readonly Value[]): void => {
    if (paths.push(path) > maxPaths) throw new RangeError(`graph.reachable_paths: more than ${maxPaths} paths`)
  }
  /** A path ends before a node that has no entry and after one that has no neighbours. */
  const walk = (node: Value, path: readonly Value[]): void => {
    context.spend(1 + path.length)
    const next = edges.get(node)
    if (next === undefined) {
      keep(path)
      return
    }
    const onward = [...path, node]
    const neighbours = neighboursIn(next)
    if (neighbours.length === 0) keep(onward)
    for (const neighbour of neighbours) {
      context.spend(onward.length)
      if (onward.some((step) => equalValues(step, neighbour))) keep(onward)
      else walk(neighbour, onward)
    }
  }
  for (const node of itemsOf(initial)) {
    const next = edges.get(node)
    if (next === undefined) continue
    const neighbours = neighboursIn(next)
    if (neighbours.length === 0) keep([node])
    for (const neighbour of neighbours) walk(neighbour, [node])
  }
  return setOf(paths)
}

const neighboursIn = (edges: Value): readonly Value[] =>
  isArray(edges) || edges instanceof RegoSet ? itemsOf(edges) : []

export const objects: BuiltinFamily = { 'object.subset': subset, 'graph.reachable_paths': reachablePaths }
