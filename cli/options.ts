/** How option values are read. */

import { InvalidArgumentError } from 'commander'

/** A whole number of at least 1. */
export function number(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('takes a whole number of at least 1')
  return value
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
