/**
 * What a policy reads of its input, by entry point: followed through OPA's plan (v1/ir, `opa build -t plan`), from the
 * local that holds the input through lookups by constant names, assignments and calls. Whatever else is done with a part
 * of the input reads all of that part, and what cannot be followed reads the whole. So an input of which only the reads
 * are kept (`projected`) gets the same answer.
 */

import { begins, leastPaths, wholeInput } from '../core/input-path.ts'
import { isObject, type Json } from '../core/json.ts'
import type { InputPath } from '../core/policy.ts'

/** Of each entry point, paths in order, none below another; none at all where nothing is read. */
export type Reads = ReadonlyMap<string, readonly InputPath[]>

/** Longest path, and most paths of one entry point; beyond them a shorter one, or the whole input, is read. */
const maxSteps = 16
const maxPaths = 128
/** Longest step, in characters: reads travel in manifests. */
const maxStep = 256

/** `metadata.writ.reads` of a bundle's manifest; undefined where there is none. Throws an Error where it has another form. */
export function readReads(metadata: Json | undefined): Reads | undefined {
  const written = at(at(metadata, 'writ'), 'reads')
  if (written === undefined) return undefined
  if (!isObject(written)) throw new Error('"metadata.writ.reads" is no object')
  return new Map(Object.entries(written).map(([entrypoint, paths]) => [entrypoint, readPaths(paths)]))
}

function readPaths(paths: Json | undefined): readonly InputPath[] {
  if (!Array.isArray(paths) || paths.length > maxPaths || !paths.every(isPath)) {
    throw new Error('"metadata.writ.reads" holds what is no list of paths')
  }
  return leastPaths(paths)
}

const isPath = (path: unknown): path is InputPath =>
  Array.isArray(path) &&
  path.length <= maxSteps &&
  path.every((step) => typeof step === 'string' && step.length <= maxStep)

/** The other way round. */
export const writeReads = (reads: Reads): Json => Object.fromEntries(reads)

/** A plan of any other form than OPA's has no entry points here, or ones that read the whole input. */
export function readsOfPlan(plan: Json): Reads {
  const found = new Map<string, readonly InputPath[]>()
  const plans = at(at(plan, 'plans'), 'plans')
  for (const one of Array.isArray(plans) ? (plans as readonly Json[]) : []) {
    const name = at(one, 'name')
    if (typeof name === 'string') found.set(name, found.has(name) ? wholeInput : readsOfEntry(plan, one))
  }
  return found
}

function readsOfEntry(plan: Json, entry: Json): readonly InputPath[] {
  try {
    return new Flow(plan).readsOf(entry)
  } catch (thrown) {
    if (thrown instanceof Unfollowed) return wholeInput
    throw thrown
  }
}

/** A statement that is not known, or not as OPA writes it. */
class Unfollowed extends Error {}

/** Paths by their own text. */
type Paths = Map<string, InputPath>

/** A plan or a function, with what its locals may hold of the input. */
interface Scope {
  readonly blocks: Json
  readonly params: readonly number[]
  readonly locals: Map<number, Paths>
  readonly returns: Paths
  /** Locals that are assigned once at most in a run: the others' values are compared with each other. */
  readonly once: ReadonlySet<number>
}

class Flow {
  readonly #strings: readonly Json[]
  readonly #functions = new Map<string, Scope>()
  /** Those that can be called by the path of their rule. */
  readonly #dynamic: { readonly path: readonly Json[]; readonly scope: Scope }[] = []
  readonly #whole: Paths = new Map()
  /** Looked up: whether they are there is read, and of what is above others, that it is an object. */
  readonly #met: Paths = new Map()
  readonly #reached = new Set<Scope>()
  /** What a local holds within the block of a statement that gives it something else. */
  readonly #insides = new Map<Json | undefined, Paths>()
  #changed = false

  constructor(plan: Json) {
    this.#strings = listOf(at(at(plan, 'static'), 'strings') ?? []).map((one) => at(one, 'value') ?? null)
    for (const one of listOf(at(at(plan, 'funcs'), 'funcs') ?? [])) {
      const name = textOf(at(one, 'name'))
      if (this.#functions.has(name)) throw new Unfollowed()
      const scope = scopeOf(at(one, 'blocks'), listOf(at(one, 'params')).map(numberOf))
      this.#functions.set(name, scope)
      const path = at(one, 'path')
      if (path !== undefined && path !== null) this.#dynamic.push({ path: listOf(path), scope })
    }
  }

  readsOf(entry: Json): readonly InputPath[] {
    const scope = scopeOf(at(entry, 'blocks'), [input, data])
    this.#add(localOf(scope, input), [])
    this.#reached.add(scope)
    // No call leads back to its caller in Rego, but a plan need not say so: what is known grows until it stays.
    do {
      this.#changed = false
      for (const one of this.#reached) this.#blocks(one, one.blocks)
    } while (this.#changed)
    const least = this.#least()
    return least.length <= maxPaths ? least : wholeInput
  }

  /** What is only looked up on the way to others is read no further than those say. */
  #least(): readonly InputPath[] {
    const met = [...this.#met.values()]
    const all = [...this.#whole.values(), ...met]
    const ends = met.filter((path) => !all.some((other) => other.length > path.length && begins(path, other)))
    return leastPaths([...this.#whole.values(), ...ends])
  }

  #blocks(scope: Scope, blocks: Json | undefined): void {
    for (const block of listOf(blocks)) this.#block(scope, block)
  }

  #block(scope: Scope, block: Json | undefined): void {
    for (const typed of listOf(at(block, 'stmts') ?? [])) this.#statement(scope, at(typed, 'type'), at(typed, 'stmt'))
  }

  #statement(scope: Scope, type: Json | undefined, stmt: Json | undefined): void {
    switch (type) {
      case 'DotStmt':
        this.#dot(scope, stmt)
        break
      case 'AssignVarStmt':
        this.#flow(this.#operand(scope, at(stmt, 'source')), this.#local(scope, stmt, 'target'))
        break
      case 'AssignVarOnceStmt': {
        const target = numberOf(at(stmt, 'target'))
        const source = this.#operand(scope, at(stmt, 'source'))
        if (!scope.once.has(target)) this.#read(source)
        this.#flow(source, localOf(scope, target))
        break
      }
      case 'CallStmt':
        this.#call(scope, stmt)
        break
      case 'CallDynamicStmt':
        this.#callDynamic(scope, stmt)
        break
      case 'WithStmt':
        this.#with(scope, stmt)
        break
      case 'ReturnLocalStmt':
        this.#flow(this.#local(scope, stmt, 'source'), scope.returns)
        break
      case 'BlockStmt':
        this.#blocks(scope, at(stmt, 'blocks'))
        break
      case 'NotStmt':
        this.#block(scope, at(stmt, 'block'))
        break
      case 'ScanStmt':
        this.#read(this.#local(scope, stmt, 'source'))
        this.#block(scope, at(stmt, 'block'))
        break
      case 'EqualStmt':
      case 'NotEqualStmt':
        this.#read(this.#operand(scope, at(stmt, 'a')))
        this.#read(this.#operand(scope, at(stmt, 'b')))
        break
      case 'ArrayAppendStmt':
      case 'SetAddStmt':
        this.#read(this.#operand(scope, at(stmt, 'value')))
        break
      case 'ObjectInsertStmt':
      case 'ObjectInsertOnceStmt':
        this.#read(this.#operand(scope, at(stmt, 'key')))
        this.#read(this.#operand(scope, at(stmt, 'value')))
        break
      case 'ObjectMergeStmt':
        this.#read(this.#local(scope, stmt, 'a'))
        this.#read(this.#local(scope, stmt, 'b'))
        break
      case 'LenStmt':
      case 'IsArrayStmt':
      case 'IsObjectStmt':
      case 'IsSetStmt':
        this.#read(this.#operand(scope, at(stmt, 'source')))
        break
      case 'ResultSetAddStmt':
        this.#read(this.#local(scope, stmt, 'value'))
        break
      case 'IsDefinedStmt': // Where it came from was looked up, which counts already.
      case 'IsUndefinedStmt':
      case 'AssignIntStmt':
      case 'BreakStmt':
      case 'MakeArrayStmt':
      case 'MakeNullStmt':
      case 'MakeNumberIntStmt':
      case 'MakeNumberRefStmt':
      case 'MakeObjectStmt':
      case 'MakeSetStmt':
      case 'NopStmt':
      case 'ResetLocalStmt':
        break
      default:
        throw new Unfollowed()
    }
  }

  #dot(scope: Scope, stmt: Json | undefined): void {
    const source = this.#operand(scope, at(stmt, 'source'))
    const key = at(stmt, 'key')
    const name = this.#constant(key)
    if (name !== undefined) this.#step(source, name, this.#local(scope, stmt, 'target'))
    else {
      this.#read(source) // Any member of it.
      this.#read(this.#operand(scope, key))
    }
  }

  /** Of each path its member of that name. */
  #step(source: Paths | undefined, name: string, target: Paths): void {
    for (const path of [...(source?.values() ?? [])]) {
      if (this.#meet([...path, name])) this.#add(target, [...path, name])
    }
  }

  /** Whether a path can be followed: where it becomes too long, what it is below of is read whole. */
  #meet(path: InputPath): boolean {
    const end = path.findIndex((step, i) => i >= maxSteps || step.length > maxStep)
    this.#add(end < 0 ? this.#met : this.#whole, end < 0 ? path : path.slice(0, end))
    return end < 0
  }

  #call(scope: Scope, stmt: Json | undefined): void {
    const name = textOf(at(stmt, 'func'))
    const args = listOf(at(stmt, 'args') ?? []).map((arg) => this.#operand(scope, arg)) // None are null.
    const result = this.#local(scope, stmt, 'result')
    const called = this.#functions.get(name)
    const key = name === 'object.get' ? this.#constant(listOf(at(stmt, 'args') ?? [])[1]) : undefined
    if (called) this.#enter(called, args, result)
    else if (key !== undefined) {
      this.#step(args[0], key, result)
      this.#flow(args[2], result) // What it answers where there is no such member.
    } else for (const arg of args) this.#read(arg)
  }

  /** A rule whose path is made up while it runs: any whose own path has the same names where they stand in the plan. */
  #callDynamic(scope: Scope, stmt: Json | undefined): void {
    const steps = listOf(at(stmt, 'path'))
    for (const step of steps) this.#read(this.#operand(scope, step))
    const names = steps.map((step) => this.#constant(step))
    const args = listOf(at(stmt, 'args')).map((arg) => localOf(scope, numberOf(arg)))
    for (const { path, scope: called } of this.#dynamic) {
      const other = names.some((name, i) => name !== undefined && i < path.length && name !== path[i])
      if (!other) this.#enter(called, args, this.#local(scope, stmt, 'result'))
    }
  }

  #enter(called: Scope, args: readonly (Paths | undefined)[], result: Paths): void {
    if (called.params.length !== args.length) throw new Unfollowed()
    if (!this.#reached.has(called)) {
      this.#reached.add(called)
      this.#changed = true
    }
    for (const [i, arg] of args.entries()) this.#flow(arg, localOf(called, called.params[i]!))
    this.#flow(called.returns, result)
  }

  /**
   * A local that holds something else for the length of a block. With a path, what is put there becomes part of a value
   * whose other parts are still the local's own: it is read whole, and lookups in the local go on as if it were not there.
   */
  #with(scope: Scope, stmt: Json | undefined): void {
    const number = numberOf(at(stmt, 'local'))
    const local = localOf(scope, number)
    const value = this.#operand(scope, at(stmt, 'value'))
    const steps = listOf(at(stmt, 'path') ?? []).map((step) => this.#string(step))
    if (steps.length === 0) {
      const inside = this.#insides.get(stmt) ?? new Map<string, InputPath>()
      this.#insides.set(stmt, inside)
      this.#flow(value, inside)
      scope.locals.set(number, inside)
      this.#block(scope, at(stmt, 'block'))
      scope.locals.set(number, local)
    } else {
      this.#read(value)
      for (const path of local.values()) this.#meet([...path, ...steps])
      this.#block(scope, at(stmt, 'block'))
    }
  }

  #local(scope: Scope, stmt: Json | undefined, member: string): Paths {
    return localOf(scope, numberOf(at(stmt, member)))
  }

  /** What an operand holds of the input; undefined for a constant. */
  #operand(scope: Scope, operand: Json | undefined): Paths | undefined {
    switch (at(operand, 'type')) {
      case 'local':
        return localOf(scope, numberOf(at(operand, 'value')))
      case 'string_index':
      case 'bool':
        return undefined
      default:
        throw new Unfollowed()
    }
  }

  #constant(operand: Json | undefined): string | undefined {
    return at(operand, 'type') === 'string_index' ? this.#string(at(operand, 'value')) : undefined
  }

  #string(index: Json | undefined): string {
    return textOf(this.#strings[numberOf(index)])
  }

  #read(paths: Paths | undefined): void {
    for (const path of paths?.values() ?? []) this.#add(this.#whole, path)
  }

  #flow(from: Paths | undefined, to: Paths): void {
    if (from && from !== to) for (const path of from.values()) this.#add(to, path)
  }

  #add(to: Paths, path: InputPath): void {
    const key = JSON.stringify(path)
    if (to.has(key)) return
    if (to.size >= maxPaths * 4) throw new Unfollowed()
    to.set(key, path)
    this.#changed = true
  }
}

const input = 0
const data = 1

function scopeOf(blocks: Json | undefined, params: readonly number[]): Scope {
  const counts = new Map<number, number>()
  const count = (of: Json | undefined, times: number): void => {
    for (const typed of listOf(at(of, 'stmts') ?? [])) {
      const stmt = at(typed, 'stmt')
      if (at(typed, 'type') === 'AssignVarOnceStmt') {
        const target = numberOf(at(stmt, 'target'))
        counts.set(target, (counts.get(target) ?? 0) + times)
      }
      const inside = at(typed, 'type') === 'ScanStmt' ? 2 : times
      const block = at(stmt, 'block')
      if (block !== undefined && block !== null) count(block, inside)
      for (const one of listOf(at(stmt, 'blocks') ?? [])) count(one, inside)
    }
  }
  for (const block of listOf(blocks)) count(block, 1)
  const once = new Set([...counts].filter(([, times]) => times === 1).map(([local]) => local))
  return { blocks: blocks ?? null, params, locals: new Map(), returns: new Map(), once }
}

function localOf(scope: Scope, local: number): Paths {
  let paths = scope.locals.get(local)
  if (!paths) scope.locals.set(local, (paths = new Map()))
  return paths
}

function at(value: Json | undefined, member: string): Json | undefined {
  return isObject(value) && Object.hasOwn(value, member) ? value[member] : undefined
}

function listOf(value: Json | undefined): readonly Json[] {
  if (Array.isArray(value)) return value as readonly Json[]
  throw new Unfollowed()
}

function numberOf(value: Json | undefined): number {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value
  throw new Unfollowed()
}

function textOf(value: Json | undefined): string {
  if (typeof value === 'string') return value
  throw new Unfollowed()
}
