/** How option values are read. */

import { InvalidArgumentError } from 'commander'

/** A whole number of at least 1. */
export function number(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('takes a whole number of at least 1')
  return value
}

/** The number of a user or group. */
export function userNumber(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('takes the number of a user')
  return Number(text)
}

/** `host:port`. IPv6 hosts stand in brackets. */
export function hostAndPort(text: string): { readonly address: string; readonly port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (!match || port > 65_535) throw new InvalidArgumentError('takes HOST:PORT')
  return { address: (match[1] ?? match[2])!, port }
}

/** Of an option that may be given more than once: all its values, in order. */
export const repeated = (value: string, before: readonly string[]): readonly string[] => [...before, value]

const units = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** A duration such as `90s`, `1h` or `7d`, in milliseconds. */
export function duration(text: string): number {
  const match = /^([1-9]\d{0,5})([smhd])$/.exec(text)
  if (!match) throw new InvalidArgumentError('takes a duration such as 90s, 30m, 1h or 7d')
  return Number(match[1]) * units[match[2] as keyof typeof units]
}

/** For commands that run sidecars. */
export const drillHelp =
  'try on each inbound listener, so often and at the start, that an unknown caller and an outage let nothing pass'
