/** A time as text by a layout: time.Time's Format of Go. */

import { daysOf } from './civil.ts'
import { dayNames, monthNames, nextPart } from './layout.ts'
import type { Moment } from './moment.ts'

export function formatTime(time: Moment, layout: string): string {
  let out = ''
  for (let left = layout; left !== ''; ) {
    const { prefix, part, rest } = nextPart(left)
    out += prefix + (part === '' ? '' : formatPart(time, part))
    left = rest
  }
  return out
}

function formatPart(time: Moment, part: string): string {
  const { year, month, day, hour, minute, second } = time
  const half = hour % 12 === 0 ? 12 : hour % 12
  switch (part) {
    case '2006':
      return year < 0 ? `-${padded(-year, 4)}` : padded(year, 4)
    case '06':
      return padded(((year % 100) + 100) % 100, 2)
    case 'January':
      return monthNames[month - 1]!
    case 'Jan':
      return monthNames[month - 1]!.slice(0, 3)
    case '1':
      return String(month)
    case '01':
      return padded(month, 2)
    case 'Monday':
      return dayNames[time.weekday]!
    case 'Mon':
      return dayNames[time.weekday]!.slice(0, 3)
    case '2':
      return String(day)
    case '_2':
      return String(day).padStart(2)
    case '02':
      return padded(day, 2)
    case '__2':
      return String(dayOfYear(time)).padStart(3)
    case '002':
      return padded(dayOfYear(time), 3)
    case '15':
      return padded(hour, 2)
    case '3':
      return String(half)
    case '03':
      return padded(half, 2)
    case '4':
      return String(minute)
    case '04':
      return padded(minute, 2)
    case '5':
      return String(second)
    case '05':
      return padded(second, 2)
    case 'PM':
      return hour >= 12 ? 'PM' : 'AM'
    case 'pm':
      return hour >= 12 ? 'pm' : 'am'
    case 'MST':
      return time.zoneName() || shortOffset(time.offset)
    default:
      return /^[.,]/.test(part) ? fraction(time.nanosecond, part) : offsetText(time.offset, part)
  }
}

function fraction(nanosecond: number, part: string): string {
  const digits = padded(nanosecond, 9)
    .padEnd(part.length - 1, '0')
    .slice(0, part.length - 1)
  if (part[1] === '0') return part[0] + digits
  const trimmed = digits.replace(/0+$/, '')
  return trimmed === '' ? '' : part[0] + trimmed
}

/** As the layout's own -07, Z0700, -07:00:00 and so on. */
function offsetText(offset: number, part: string): string {
  if (part[0] === 'Z' && offset === 0) return 'Z'
  const size = Math.abs(offset)
  const numbers = [Math.floor(size / 3600), Math.floor(size / 60) % 60, size % 60]
  const shown = numbers.slice(0, part.replace(/[^0-9]/g, '').length / 2).map((number) => padded(number, 2))
  return (offset < 0 ? '-' : '+') + shown.join(part.includes(':') ? ':' : '')
}

const shortOffset = (offset: number): string => offsetText(offset, offset % 3600 === 0 ? '-07' : '-0700')

const dayOfYear = (time: Moment): number => daysOf(time) - daysOf({ year: time.year, month: 1, day: 1 }) + 1

const padded = (number: number, width: number): string => String(number).padStart(width, '0')
