/** Turns a value into the JSON bytes that a policy reads, or says why it is none. Nothing is dropped or mended. */

import { utf8 } from '../core/bytes.ts'

export interface PlainLimits {
  /** Arrays and objects within each other. */
  readonly maxDepth: number
  /** Bytes of JSON. */
  readonly maxBytes: number
}

export type Plain =
  | { readonly ok: true; readonly bytes: Uint8Array }
  | { readonly ok: false; readonly limit: boolean; readonly wrong: string }

/** `limit` tells what is too deep or too long from what JSON cannot hold. Members that are undefined are left out. */
export function plainJson(value: unknown, limits: PlainLimits): Plain {
  const fault = walk(value, limits.maxDepth, { left: limits.maxBytes })
  if (fault) return fault
  const bytes = utf8(JSON.stringify(value))
  return bytes.length > limits.maxBytes ? tooLong : { ok: true, bytes }
}

export type Refused = Extract<Plain, { readonly ok: false }>

const tooDeep: Refused = { ok: false, limit: true, wrong: 'nested too deeply' }
export const tooLong: Refused = { ok: false, limit: true, wrong: 'too long' }
const not = (what: string): Refused => ({
  ok: false,
  limit: false,
  wrong: `it holds ${what}, which JSON does not have`,
})

/** Spends at least one byte per value, so that the walk ends when the budget does, whatever the value's shape. */
function walk(value: unknown, depth: number, budget: { left: number }): Refused | undefined {
  budget.left -= typeof value === 'string' ? value.length + 2 : 1
  if (budget.left < 0) return tooLong
  if (value === null || typeof value === 'boolean') return undefined
  if (typeof value === 'string') return value.isWellFormed() ? undefined : not('a lone surrogate')
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : not(`the number ${value}`)
  if (typeof value !== 'object') return not(`a value of type ${typeof value}`)
  if (depth === 0) return tooDeep

  if (Array.isArray(value)) {
    for (const item of value) {
      const fault = walk(item, depth - 1, budget)
      if (fault) return fault
    }
    return undefined
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return not('an object of a class')
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined) continue
    const fault = walk(key, 0, budget) ?? walk(member, depth - 1, budget)
    if (fault) return fault
  }
  return undefined
}
