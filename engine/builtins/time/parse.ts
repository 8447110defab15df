/** Text as a time by a layout: time.Parse of Go, with what it lets pass. */

import { BuiltinError } from '../builtin.ts'
import { daysIn, daysOf } from './civil.ts'
import { dayNames, monthNames, nextPart } from './layout.ts'
import { momentNs } from './moment.ts'

interface Read {
  year: number
  month: number | undefined
  day: number | undefined
  dayOfYear: number | undefined
  hour: number
  minute: number
  second: number
  nanosecond: number
  afternoon: boolean | undefined
  /** Seconds east of UTC. */
  offset: number | undefined
}

/** Nanoseconds since 1970. A zone's abbreviation says nothing of its offset, and is taken for UTC. */
export function parseTime(layout: string, text: string): bigint {
  const read: Read = {
    ...{ year: 0, month: undefined, day: undefined, dayOfYear: undefined },
    ...{ hour: 0, minute: 0, second: 0, nanosecond: 0, afternoon: undefined, offset: undefined },
  }
  let value = text
  for (let left = layout; ; ) {
    const { prefix, part, rest } = nextPart(left)
    value = skip(value, prefix)
    if (part === '') break
    left = rest
    value = value.slice(take(read, part, value, left))
  }
  if (value !== '') throw new BuiltinError(`extra text: ${value}`)
  return ns(read)
}

/** A space in a layout stands for any number of them, none included at the end of a text. */
function skip(text: string, prefix: string): string {
  let value = text
  for (let i = 0; i < prefix.length; i++) {
    if (prefix[i] === ' ') {
      if (value !== '' && value[0] !== ' ') throw bad(prefix)
      while (prefix[i + 1] === ' ') i++
      value = value.replace(/^ +/, '')
    } else {
      if (value[0] !== prefix[i]) throw bad(prefix)
      value = value.slice(1)
    }
  }
  return value
}

/** Reads one part from the front of the text, and gives its length there. */
function take(read: Read, part: string, text: string, layoutLeft: string): number {
  const number = (shape: RegExp): readonly [number, number] => {
    const found = shape.exec(text)
    if (!found) throw bad(part)
    return [Number(found[1]), found[0].length]
  }
  let length: number
  switch (part) {
    case '2006':
      ;[read.year, length] = number(/^([0-9]{4})/)
      return length
    case '06':
      ;[read.year, length] = number(/^([0-9]{2})/)
      read.year += read.year >= 69 ? 1900 : 2000
      return length
    case 'January':
    case 'Jan': {
      const index = nameAt(text, monthNames, part === 'Jan')
      read.month = index + 1
      return part === 'Jan' ? 3 : monthNames[index]!.length
    }
    case 'Monday':
      return dayNames[nameAt(text, dayNames, false)]!.length
    case 'Mon':
      nameAt(text, dayNames, true)
      return 3
    case '1':
    case '01':
      ;[read.month, length] = number(digits(part))
      within('month', read.month, 1, 12)
      return length
    case '2':
    case '_2':
    case '02':
      ;[read.day, length] = number(part === '_2' ? /^ ?([0-9]{1,2})/ : digits(part))
      return length
    case '__2':
    case '002':
      ;[read.dayOfYear, length] = number(part === '__2' ? /^ {0,2}([0-9]{1,3})/ : /^([0-9]{3})/)
      return length
    case '15':
      ;[read.hour, length] = number(/^([0-9]{1,2})/)
      within('hour', read.hour, 0, 23)
      return length
    case '3':
    case '03':
      ;[read.hour, length] = number(digits(part))
      within('hour', read.hour, 0, 12)
      return length
    case '4':
    case '04':
      ;[read.minute, length] = number(digits(part))
      within('minute', read.minute, 0, 59)
      return length
    case '5':
    case '05': {
      ;[read.second, length] = number(digits(part))
      within('second', read.second, 0, 59)
      // A fraction may follow although the layout has none.
      const follows = /^[.,][0-9]+/.exec(text.slice(length))?.[0]
      if (follows === undefined || /^[.,]/.test(nextPart(layoutLeft).part)) return length
      read.nanosecond = nanoseconds(follows)
      return length + follows.length
    }
    case 'PM':
    case 'pm': {
      const half = text.slice(0, 2)
      const [am, pm] = part === 'PM' ? ['AM', 'PM'] : ['am', 'pm']
      if (half !== am && half !== pm) throw bad(part)
      read.afternoon = half === pm
      return 2
    }
    case 'MST':
      return abbreviation(text)
    default:
      return /^[.,]/.test(part) ? takeFraction(read, part, text) : takeOffset(read, part, text)
  }
}

/** Two digits, or as few as one where the layout shows one. */
const digits = (part: string): RegExp => (part.length === 2 ? /^([0-9]{2})/ : /^([0-9]{1,2})/)

function nameAt(text: string, names: readonly string[], short: boolean): number {
  const index = names.findIndex((name) => {
    const wanted = short ? name.slice(0, 3) : name
    return text.slice(0, wanted.length).toLowerCase() === wanted.toLowerCase()
  })
  if (index < 0) throw bad('name')
  return index
}

function takeFraction(read: Read, part: string, text: string): number {
  const digits = /^[.,][0-9]+/.exec(text)?.[0] ?? ''
  const found = part[1] === '0' ? digits.slice(0, part.length) : digits // Zeros ask for as many digits as there are.
  if (part[1] === '0' && found.length < part.length) throw bad(part)
  if (found !== '') read.nanosecond = nanoseconds(found)
  return found.length
}

/** Digits beyond the ninth are dropped. */
const nanoseconds = (fraction: string): number => Number(fraction.slice(1, 10).padEnd(9, '0'))

function takeOffset(read: Read, part: string, text: string): number {
  if (part[0] === 'Z' && text[0] === 'Z') {
    read.offset = 0
    return 1
  }
  const shape = part.slice(1).replace(/[0-9]{2}/g, '([0-9]{2})')
  const found = new RegExp(`^([+-])${shape}`).exec(text)
  if (!found) throw bad(part)
  const [hours, minutes, seconds] = [found[2], found[3], found[4]].map((number) => Number(number ?? 0)) as [
    number,
    number,
    number,
  ]
  within('time zone offset', hours, 0, 24)
  within('time zone offset', Math.max(minutes, seconds), 0, 60)
  read.offset = ((hours * 60 + minutes) * 60 + seconds) * (found[1] === '-' ? -1 : 1)
  return found[0].length
}

/** Three letters, four or five that end in T, a few exceptions, or an offset. */
function abbreviation(text: string): number {
  const found =
    /^(?:ChST|MeST|GMT(?:[+-](?:[01]?[0-9]|2[0-3])(?![0-9]))?|[+-](?:[01]?[0-9]|2[0-3])(?![0-9])|WITA(?![A-Z])|[A-Z]{3,4}T(?![A-Z])|[A-Z]{3}(?![A-Z]))/.exec(
      text,
    )?.[0]
  if (found === undefined) throw bad('MST')
  return found.length
}

function ns(read: Read): bigint {
  const hour =
    read.afternoon === true && read.hour < 12
      ? read.hour + 12
      : read.afternoon === false && read.hour === 12
        ? 0
        : read.hour
  const [month, day] = dateOf(read)
  within('day', day, 1, daysIn(month, read.year))
  const days = daysOf({ year: read.year, month, day })
  const seconds = days * 86_400 + hour * 3600 + read.minute * 60 + read.second - (read.offset ?? 0)
  return momentNs(seconds, read.nanosecond)
}

function dateOf({ year, month, day, dayOfYear }: Read): readonly [number, number] {
  if (dayOfYear === undefined) return [month ?? 1, day ?? 1]
  within('day-of-year', dayOfYear, 1, daysOf({ year: year + 1, month: 1, day: 1 }) - daysOf({ year, month: 1, day: 1 }))
  let [m, d] = [1, dayOfYear]
  while (d > daysIn(m, year)) d -= daysIn(m++, year)
  if ((month ?? m) !== m || (day ?? d) !== d) throw new BuiltinError('day-of-year does not match month and day')
  return [m, d]
}

function within(what: string, value: number, low: number, high: number): void {
  if (value < low || value > high) throw new BuiltinError(`${what} out of range`)
}

const bad = (part: string): BuiltinError => new BuiltinError(`cannot parse time at ${part}`)
