/** A moment in a zone, split into what clocks and calendars show; and back to nanoseconds, within 64 bits. */

import { BuiltinError } from '../builtin.ts'
import { civilOf, daySeconds, daysOf } from './civil.ts'
import type { Zone } from './zone.ts'

export interface Moment {
  readonly year: number
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
  readonly nanosecond: number
  /** 0 is Sunday. */
  readonly weekday: number
  /** Seconds east of UTC. */
  readonly offset: number
  zoneName(): string
}

const second = 1_000_000_000n

export function momentOf(ns: bigint, zone: Zone): Moment {
  const nanosecond = Number(((ns % second) + second) % second)
  const seconds = Number((ns - BigInt(nanosecond)) / second)
  const offset = zone.offsetAt(seconds)
  const days = Math.floor((seconds + offset) / daySeconds)
  const rest = seconds + offset - days * daySeconds
  return {
    ...civilOf(days),
    hour: Math.floor(rest / 3600),
    minute: Math.floor(rest / 60) % 60,
    second: rest % 60,
    nanosecond,
    weekday: (((days + 4) % 7) + 7) % 7,
    offset,
    zoneName: () => zone.nameAt(seconds),
  }
}

/** What nanoseconds of 64 bits reach: the years 1677 to 2262. */
export function momentNs(seconds: number, nanosecond: number): bigint {
  const ns = BigInt(seconds) * second + BigInt(nanosecond)
  if (BigInt.asIntN(64, ns) !== ns) throw new BuiltinError('time outside of valid range')
  return ns
}

/** The same time of day on another date, which may run over. Go's choice where clocks were changed then. */
export function onDate(time: Moment, date: { year: number; month: number; day: number }, zone: Zone): bigint {
  const local = daysOf(date) * daySeconds + time.hour * 3600 + time.minute * 60 + time.second
  momentNs(local, 0) // Beyond it no zone need be asked.
  const first = zone.offsetAt(local)
  const offset = first === 0 ? 0 : zone.offsetAt(local - first)
  return momentNs(local - offset, time.nanosecond)
}
