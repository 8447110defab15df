/** semver.*: Semantic Versioning 2.0.0, with an optional "v" before it. */

import type { Value } from '../value.ts'
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from './builtin.ts'
import { stringOf } from './operand.ts'

interface Version {
  readonly core: readonly bigint[]
  readonly preRelease: readonly string[]
}

const identifiers = '[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*'
const number = '(0|[1-9][0-9]*)'
const shape = new RegExp(`^v?${number}\\.${number}\\.${number}(?:-(${identifiers}))?(?:\\+${identifiers})?$`)
const maxNumber = 2n ** 63n - 1n

function read(text: string): Version | undefined {
  const [whole, major, minor, patch, pre] = shape.exec(text) ?? []
  if (whole === undefined) return undefined
  const core = [BigInt(major!), BigInt(minor!), BigInt(patch!)]
  const preRelease = pre?.split('.') ?? []
  const valid = core.every((one) => one <= maxNumber) && !preRelease.some((one) => /^0[0-9]+$/.test(one))
  return valid ? { core, preRelease } : undefined
}

function compare(_: BuiltinContext, a: Value, b: Value): Value {
  const [x, y] = [stringOf(a), stringOf(b)].map((text) => {
    const version = read(text)
    if (!version) throw new BuiltinError(`string ${text} is not a valid SemVer`)
    return version
  }) as [Version, Version]
  for (const [i, one] of x.core.entries()) {
    const other = y.core[i]!
    if (one !== other) return one < other ? -1 : 1
  }
  return comparePreReleases(x.preRelease, y.preRelease)
}

/** SemVer 11: a version without one comes after those with one; numbers come before words; fewer before more. */
function comparePreReleases(a: readonly string[], b: readonly string[]): number {
  if (a.length === 0 || b.length === 0) return Math.sign(b.length - a.length)
  for (const [i, one] of a.entries()) {
    const other = b[i]
    if (other === undefined) return 1
    const order = compareIdentifiers(one, other)
    if (order !== 0) return order
  }
  return a.length < b.length ? -1 : 0
}

function compareIdentifiers(a: string, b: string): number {
  const [x, y] = [/^[0-9]+$/.test(a), /^[0-9]+$/.test(b)]
  if (x !== y) return x ? -1 : 1
  if (x && a.length !== b.length) return a.length < b.length ? -1 : 1
  return a === b ? 0 : a < b ? -1 : 1
}

export const semver: BuiltinFamily = {
  'semver.compare': compare,
  'semver.is_valid': (_, text) => typeof text === 'string' && read(text) !== undefined,
}
