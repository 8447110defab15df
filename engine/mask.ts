/**
 * What `data.system.log.mask` says, done to one record. As OPA does it: a pointer that leads nowhere changes nothing and is
 * not named; one into a list takes an item out; `upsert` makes the objects that are missing on the way. OPA compares names
 * as they are escaped in a URL, so that it never finds one with a space; here such a name is found.
 */

import { isObject, type Json } from '../core/json.ts'

/** The parts of a record that a mask may name. */
export interface Maskable {
  readonly input?: Json
  readonly result?: Json
  readonly nd_builtin_cache?: Json
}

export interface Masked {
  readonly parts: Maskable
  /** Pointers of what was taken out, and of what was put in its place, as OPA writes them. */
  readonly erased: readonly string[]
  readonly masked: readonly string[]
}

interface Rule {
  readonly op: 'remove' | 'upsert'
  readonly part: keyof Maskable
  readonly steps: readonly string[]
  readonly value: Json
  readonly pointer: string
}

type Members = { [name: string]: Json | undefined }

/** Most rules of one answer, and the furthest index of a list. */
const maxRules = 1024

/** Throws an Error on an answer that is no list of masks: then nobody knows what was to be hidden. */
export function applyMask(answer: Json, parts: Maskable): Masked {
  const rules = readRules(answer)
  const here: Members = { ...parts }
  const erased: string[] = []
  const masked: string[] = []
  for (const { op, part, steps, value, pointer } of rules) {
    const before = here[part]
    if (before === undefined) continue
    const after = op === 'remove' ? removed(before, steps) : upserted(before, steps, value)
    if (after === nowhere) continue
    here[part] = after
    if (op === 'remove') erased.push(pointer)
    else masked.push(pointer)
  }
  return { parts: here as Maskable, erased, masked }
}

function readRules(answer: Json): readonly Rule[] {
  if (!Array.isArray(answer)) throw new Error('a mask is no set')
  if (answer.length > maxRules) throw new Error(`a mask has more than ${maxRules} rules`)
  return (answer as readonly Json[]).map((one) => {
    if (typeof one === 'string') return ruleOf('remove', one, null)
    if (!isObject(one)) throw new Error('a mask is neither a pointer nor an object')
    const { op, path, value = null } = one
    if (op !== 'remove' && op !== 'upsert') throw new Error('the op of a mask is neither remove nor upsert')
    if (typeof path !== 'string') throw new Error('a mask has no path')
    return ruleOf(op, path, value)
  })
}

function ruleOf(op: Rule['op'], path: string, value: Json): Rule {
  if (!path.startsWith('/')) throw new Error('the path of a mask does not begin with /')
  const [part, ...steps] = path.slice(1).split('/')
  if (part !== 'input' && part !== 'result' && part !== 'nd_builtin_cache') {
    throw new Error('the path of a mask is below none of /input, /result and /nd_builtin_cache')
  }
  return { op, part, steps, value, pointer: `/${[part, ...steps].map(pathEscape).join('/')}` }
}

const nowhere = Symbol('nowhere')

/** The value without what the steps lead to; undefined where that is all of it. Nothing that was given is changed. */
function removed(value: Json, [step, ...rest]: readonly string[]): Json | undefined | typeof nowhere {
  if (step === undefined) return undefined
  const key = keyIn(value, step)
  if (key === undefined) return nowhere
  const child = rest.length === 0 ? undefined : removed((value as Members)[key]!, rest)
  return child === nowhere ? nowhere : withMember(value, key, child)
}

function upserted(value: Json, [step, ...rest]: readonly string[], put: Json): Json | typeof nowhere {
  if (step === undefined) return put
  const key = keyIn(value, step) ?? (isObject(value) ? step : undefined)
  if (key === undefined) return nowhere
  const child = upserted(Object.hasOwn(value as object, key) ? (value as Members)[key]! : {}, rest, put)
  return child === nowhere ? nowhere : withMember(value, key, child)
}

/** The name of a member or the index of an item that a step means; undefined where there is none. */
function keyIn(value: Json, step: string): string | undefined {
  if (Array.isArray(value)) return /^(?:0|[1-9]\d{0,8})$/.test(step) && Number(step) < value.length ? step : undefined
  if (!isObject(value)) return undefined
  return [step, unescaped(step)].find(
    (name) => name !== undefined && value[name] !== undefined && Object.hasOwn(value, name),
  )
}

function withMember(value: Json, key: string, child: Json | undefined): Json {
  if (Array.isArray(value)) {
    const items = [...(value as readonly Json[])]
    if (child === undefined) items.splice(Number(key), 1)
    else items[Number(key)] = child
    return items
  }
  const members: Members = Object.create(null) // A member may be called `__proto__`, and is then one like any other.
  Object.assign(members, value)
  if (child === undefined) delete members[key]
  else members[key] = child
  return members
}

function unescaped(step: string): string | undefined {
  try {
    return decodeURIComponent(step)
  } catch {
    return undefined
  }
}

/** As Go's url.PathEscape has it, which is how OPA names what it masked. */
const pathEscape = (text: string): string =>
  encodeURIComponent(text.toWellFormed())
    .replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`)
    .replace(/%(?:24|26|2B|3A|3D|40)/g, decodeURIComponent)
