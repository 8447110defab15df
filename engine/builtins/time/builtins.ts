/** time.* */

import { fromInteger, isArray, type Value } from '../../value.ts'
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from '../builtin.ts'
import { integerOf, intOf, stringOf } from '../operand.ts'
import { daysIn } from './civil.ts'
import { parseDuration } from './duration.ts'
import { formatTime } from './format.ts'
import { dayNames, namedLayouts } from './layout.ts'
import { type Moment, momentOf, onDate } from './moment.ts'
import { parseTime } from './parse.ts'
import { utc, type Zone, zoneOf } from './zone.ts'

interface Asked {
  readonly ns: bigint
  readonly zone: Zone
  readonly layout: string
}

/** Nanoseconds, or an array of them, a zone's name and a layout. */
function asked({ patterns }: BuiltinContext, value: Value): Asked {
  const parts = isArray(value) ? value : [value]
  if (parts.length === 0) throw new BuiltinError('either number (ns) or [number (ns), string (tz)] expected')
  const ns = integerOf(parts[0]!)
  if (BigInt.asIntN(64, ns) !== ns) throw new BuiltinError('timestamp too big')
  const zone = parts.length > 1 ? zoneOf(stringOf(parts[1]!), patterns) : utc
  return { ns, zone, layout: parts.length > 2 ? stringOf(parts[2]!) : '' }
}

function momentArg(context: BuiltinContext, value: Value): Moment {
  const { ns, zone } = asked(context, value)
  return momentOf(ns, zone)
}

function nowNs(context: BuiltinContext): Value {
  const now = fromInteger(context.nowNs)
  context.record('time.now_ns', [], now)
  return now
}

const layoutOf = (name: string): string => (Object.hasOwn(namedLayouts, name) ? namedLayouts[name]! : name)

function format(context: BuiltinContext, value: Value): Value {
  const { ns, zone, layout } = asked(context, value)
  return formatTime(momentOf(ns, zone), layoutOf(layout || 'RFC3339Nano'))
}

function addDate(context: BuiltinContext, value: Value, years: Value, months: Value, days: Value): Value {
  const { ns, zone } = asked(context, value)
  const time = momentOf(ns, zone)
  const date = { year: time.year + intOf(years), month: time.month + intOf(months), day: time.day + intOf(days) }
  return fromInteger(onDate(time, date, zone))
}

/** Years, months, days, hours, minutes and seconds from the earlier to the later, in the first one's zone. */
function diff(context: BuiltinContext, a: Value, b: Value): Value {
  const { ns, zone } = asked(context, a)
  const other = asked(context, b).ns
  const [early, late] = ns < other ? [ns, other] : [other, ns]
  const [from, to] = [momentOf(early, zone), momentOf(late, zone)]
  const [year, month, day] = [to.year - from.year, to.month - from.month, to.day - from.day]
  const [seconds, toMinute] = borrow(to.second - from.second, 60)
  const [minutes, toHour] = borrow(to.minute - from.minute - toMinute, 60)
  const [hours, toDay] = borrow(to.hour - from.hour - toHour, 24)
  const [days, toMonth] = borrow(day - toDay, daysIn(from.month, from.year))
  const [months, toYear] = borrow(month - toMonth, 12)
  return [year - toYear, months, days, hours, minutes, seconds]
}

const borrow = (value: number, size: number): readonly [number, 0 | 1] => (value < 0 ? [value + size, 1] : [value, 0])

export const time: BuiltinFamily = {
  'time.now_ns': nowNs,
  'time.parse_ns': (_, layout, text) => fromInteger(parseTime(layoutOf(stringOf(layout)), stringOf(text))),
  'time.parse_rfc3339_ns': (_, text) => fromInteger(parseTime(layoutOf('RFC3339'), stringOf(text))),
  'time.parse_duration_ns': (_, text) => fromInteger(parseDuration(stringOf(text))),
  'time.format': format,
  'time.date': (context, value) => {
    const { year, month, day } = momentArg(context, value)
    return [year, month, day]
  },
  'time.clock': (context, value) => {
    const { hour, minute, second } = momentArg(context, value)
    return [hour, minute, second]
  },
  'time.weekday': (context, value) => dayNames[momentArg(context, value).weekday]!,
  'time.add_date': addDate,
  'time.diff': diff,
}
