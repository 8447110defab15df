/** Time as text. Nanoseconds since 1970 need 61 bits, so they are a bigint in memory and text in records. */

export type Nanoseconds = bigint

/** The last second that was asked for, since records come by the thousand within one, and the last moment itself. */
let lastSecond = Number.NaN
let lastSecondText = ''
let lastNs: Nanoseconds = -1n
let lastText = ''

/** RFC 3339 in UTC with nine digits: `2026-11-23T17:04:09.123456789Z`, which sorts as text. */
export function formatTime(ns: Nanoseconds): string {
  if (ns === lastNs) return lastText
  const second = Number(ns / 1_000_000_000n)
  const rest = Number(ns % 1_000_000_000n)
  if (second !== lastSecond) {
    lastSecondText = new Date(second * 1000).toISOString().slice(0, -4)
    lastSecond = second
  }
  lastText = `${lastSecondText}${String(rest).padStart(9, '0')}Z`
  lastNs = ns
  return lastText
}

/** Of milliseconds since 1970; a part of one is left out. */
export const formatMs = (ms: number): string => formatTime(BigInt(Math.trunc(ms)) * 1_000_000n)

const shape = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/

/** The same for what was read last. */
let lastReadText = ''
let lastRead: Nanoseconds | undefined

/** Exactly the form of `formatTime`; anything else is undefined. */
export function parseTime(text: string): Nanoseconds | undefined {
  if (text !== lastReadText) {
    lastRead = readTime(text)
    lastReadText = text
  }
  return lastRead
}

function readTime(text: string): Nanoseconds | undefined {
  if (!shape.test(text)) return undefined
  const seconds = secondsOf(text)
  return Number.isNaN(seconds) ? undefined : BigInt(seconds) * 1_000_000_000n + BigInt(digits(text, 20, 29))
}

const daysBefore = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]

/** Of a moment that every calendar has, by its own sum, which is quicker; of any other what JavaScript says. */
function secondsOf(text: string): number {
  const [year, month, day] = [digits(text, 0, 4), digits(text, 5, 7), digits(text, 8, 10)]
  const [hour, minute, second] = [digits(text, 11, 13), digits(text, 14, 16), digits(text, 17, 19)]
  const isPlain = month > 0 && month < 13 && day > 0 && day < 29 && hour < 24 && minute < 60 && second < 60
  if (!isPlain) return Date.parse(`${text.slice(0, 19)}Z`) / 1000
  const leapDays = leapDaysBefore(month > 2 ? year + 1 : year) - leapDaysBefore(1970)
  const days = (year - 1970) * 365 + leapDays + daysBefore[month - 1]! + day - 1
  return ((days * 24 + hour) * 60 + minute) * 60 + second
}

/** In the years before one. */
const leapDaysBefore = (year: number): number =>
  Math.floor((year - 1) / 4) - Math.floor((year - 1) / 100) + Math.floor((year - 1) / 400)

function digits(text: string, from: number, to: number): number {
  let number = 0
  for (let i = from; i < to; i++) number = number * 10 + text.charCodeAt(i) - 48
  return number
}
