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
  return written === undefined ? undefined : parseReads(written)
}

/** What `writeReads` gave, wherever it comes from. Throws an Error where it has another form. */
export function parseReads(written: Json): Reads {
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
type HeldPaths = ReadonlyMap<string, InputPath>

type Locals = Map<number, HeldPaths>

/** A plan or a function, with what its locals may hold of the input. */
interface Scope {
  readonly blocks: Json
  readonly params: readonly number[]
  /** What calls have given so far, in the order of the parameters. */
  readonly given: readonly Paths[]
  readonly returns: Paths
  /** What locals hold at the statement that is looked at; those that are not here hold nothing of the input. */
  locals: Locals
  /** What was assigned since the block around it began. */
  assigned: Locals
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
  /** What the rounds of a loop leave in locals. */
  readonly #carried = new Map<Json | undefined, Map<number, Paths>>()
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
    this.#add(scope.given[0]!, [])
    this.#reached.add(scope)
    // No call leads back to its caller in Rego, but a plan need not say so: what is known grows until it stays.
    do {
      this.#changed = false
      for (const one of this.#reached) {
        one.locals = new Map(one.params.map((local, i) => [local, new Map(one.given[i])]))
        this.#blocks(one, one.blocks)
      }
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
    for (const block of listOf(blocks)) this.#inner(scope, block)
  }

  /**
   * Any statement of a block may be its last: afterwards a local holds what it held before, or anything that was assigned
   * within. Gives the latter back.
   */
  #inner(scope: Scope, block: Json | undefined): Locals {
    const { locals, assigned } = scope
    const within: Locals = new Map()
    scope.locals = new Map(locals)
    scope.assigned = within
    this.#block(scope, block)
    scope.locals = locals
    scope.assigned = assigned
    for (const [local, paths] of within) {
      join(locals, local, paths)
      join(assigned, local, paths)
    }
    return within
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
        assign(scope, numberOf(at(stmt, 'target')), this.#operand(scope, at(stmt, 'source')))
        break
      case 'AssignVarOnceStmt': {
        const target = numberOf(at(stmt, 'target'))
        const source = this.#operand(scope, at(stmt, 'source'))
        if (!scope.once.has(target)) this.#read(source)
        join(scope.locals, target, source)
        join(scope.assigned, target, source)
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
        this.#inner(scope, at(stmt, 'block'))
        break
      case 'ScanStmt':
        this.#scan(scope, stmt)
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
        assign(scope, numberOf(at(stmt, 'target')), undefined)
        break
      case 'LenStmt':
        this.#read(this.#operand(scope, at(stmt, 'source')))
        assign(scope, numberOf(at(stmt, 'target')), undefined)
        break
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
      case 'BreakStmt':
      case 'NopStmt':
        break
      case 'AssignIntStmt':
      case 'MakeArrayStmt':
      case 'MakeNullStmt':
      case 'MakeNumberIntStmt':
      case 'MakeNumberRefStmt':
      case 'MakeObjectStmt':
      case 'MakeSetStmt':
      case 'ResetLocalStmt':
        assign(scope, numberOf(at(stmt, 'target')), undefined)
        break
      default:
        throw new Unfollowed()
    }
  }

  /** What is assigned in one round is there in the next. */
  #scan(scope: Scope, stmt: Json | undefined): void {
    this.#read(this.#local(scope, stmt, 'source')) // So that what is found in it need not be followed.
    const carried = this.#carried.get(stmt) ?? new Map<number, Paths>()
    this.#carried.set(stmt, carried)
    for (const member of ['key', 'value']) assign(scope, numberOf(at(stmt, member)), undefined)
    for (const [local, paths] of carried) join(scope.locals, local, paths)
    for (const [local, paths] of this.#inner(scope, at(stmt, 'block'))) {
      const known = carried.get(local) ?? new Map<string, InputPath>()
      carried.set(local, known)
      this.#flow(paths, known)
    }
  }

  #dot(scope: Scope, stmt: Json | undefined): void {
    const source = this.#operand(scope, at(stmt, 'source'))
    const key = at(stmt, 'key')
    const name = this.#constant(key)
    if (name === undefined) {
      this.#read(source) // Any member of it.
      this.#read(this.#operand(scope, key))
    }
    assign(scope, numberOf(at(stmt, 'target')), name === undefined ? undefined : this.#step(source, name))
  }

  /** Of each path its member of that name. */
  #step(source: HeldPaths | undefined, name: string): HeldPaths {
    const members: Paths = new Map()
    for (const path of source?.values() ?? []) {
      const member = [...path, name]
      if (this.#meet(member)) members.set(JSON.stringify(member), member)
    }
    return members
  }

  /** Whether a path can be followed: where it becomes too long, what it is below of is read whole. */
  #meet(path: InputPath): boolean {
    const end = path.findIndex((step, i) => i >= maxSteps || step.length > maxStep)
    this.#add(end < 0 ? this.#met : this.#whole, end < 0 ? path : path.slice(0, end))
    return end < 0
  }

  #call(scope: Scope, stmt: Json | undefined): void {
    const name = textOf(at(stmt, 'func'))
    const operands = listOf(at(stmt, 'args') ?? []) // None are null.
    const args = operands.map((arg) => this.#operand(scope, arg))
    const result = numberOf(at(stmt, 'result'))
    const called = this.#functions.get(name)
    const key = name === 'object.get' ? this.#constant(operands[1]) : undefined
    if (called) assign(scope, result, this.#enter(called, args))
    else if (key !== undefined) {
      assign(scope, result, both(this.#step(args[0], key), args[2])) // The last where there is no such member.
    } else {
      for (const arg of args) this.#read(arg)
      assign(scope, result, undefined)
    }
  }

  /** A rule whose path is made up while it runs: any whose own path has the same names where they stand in the plan. */
  #callDynamic(scope: Scope, stmt: Json | undefined): void {
    const steps = listOf(at(stmt, 'path'))
    for (const step of steps) this.#read(this.#operand(scope, step))
    const names = steps.map((step) => this.#constant(step))
    const args = listOf(at(stmt, 'args')).map((arg) => held(scope, numberOf(arg)))
    let answers: HeldPaths | undefined
    for (const { path, scope: called } of this.#dynamic) {
      const other = names.some((name, i) => name !== undefined && i < path.length && name !== path[i])
      if (!other) answers = both(answers, this.#enter(called, args))
    }
    assign(scope, numberOf(at(stmt, 'result')), answers)
  }

  /** What it answers, as far as that is known yet. */
  #enter(called: Scope, args: readonly (HeldPaths | undefined)[]): HeldPaths {
    if (called.params.length !== args.length) throw new Unfollowed()
    if (!this.#reached.has(called)) {
      this.#reached.add(called)
      this.#changed = true
    }
    for (const [i, arg] of args.entries()) this.#flow(arg, called.given[i]!)
    return new Map(called.returns)
  }

  /**
   * A local that holds something else for the length of a block. With a path, what is put there becomes part of a value
   * whose other parts are still the local's own: it is read whole, and lookups in the local go on as if it were not there.
   */
  #with(scope: Scope, stmt: Json | undefined): void {
    const number = numberOf(at(stmt, 'local'))
    const before = held(scope, number)
    const value = this.#operand(scope, at(stmt, 'value'))
    const steps = listOf(at(stmt, 'path') ?? []).map((step) => this.#string(step))
    if (steps.length === 0) scope.locals.set(number, value ?? new Map())
    else {
      this.#read(value)
      for (const path of before.values()) this.#meet([...path, ...steps])
    }
    this.#inner(scope, at(stmt, 'block'))
    scope.locals.set(number, before)
  }

  #local(scope: Scope, stmt: Json | undefined, member: string): HeldPaths {
    return held(scope, numberOf(at(stmt, member)))
  }

  /** What an operand holds of the input; undefined for a constant. */
  #operand(scope: Scope, operand: Json | undefined): HeldPaths | undefined {
    switch (at(operand, 'type')) {
      case 'local':
        return held(scope, numberOf(at(operand, 'value')))
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

  #read(paths: HeldPaths | undefined): void {
    for (const path of paths?.values() ?? []) this.#add(this.#whole, path)
  }

  #flow(from: HeldPaths | undefined, to: Paths): void {
    if (from) for (const path of from.values()) this.#add(to, path)
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
  const given = params.map(() => new Map<string, InputPath>())
  return { blocks: blocks ?? null, params, given, returns: new Map(), locals: new Map(), assigned: new Map(), once }
}

const nothing: HeldPaths = new Map()

const held = (scope: Scope, local: number): HeldPaths => scope.locals.get(local) ?? nothing

/** In place of what the local held. */
function assign(scope: Scope, local: number, paths: HeldPaths | undefined): void {
  scope.locals.set(local, paths ?? nothing)
  join(scope.assigned, local, paths)
}

function join(locals: Locals, local: number, paths: HeldPaths | undefined): void {
  locals.set(local, both(locals.get(local), paths))
}

function both(one: HeldPaths | undefined, other: HeldPaths | undefined): HeldPaths {
  if (!one || one.size === 0) return other ?? nothing
  return other && other.size > 0 ? new Map([...one, ...other]) : one
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
