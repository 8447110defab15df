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

const shape = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{9})Z$/

/** The same for what was read last. */
let lastReadText = ''
let lastRead: Nanoseconds | undefined
let lastReadSecondText = ''
let lastReadSecond: Nanoseconds | undefined

/** Exactly the form of `formatTime`; anything else is undefined. */
export function parseTime(text: string): Nanoseconds | undefined {
  if (text !== lastReadText) {
    lastRead = readTime(text)
    lastReadText = text
  }
  return lastRead
}

function readTime(text: string): Nanoseconds | undefined {
  const match = shape.exec(text)
  if (!match) return undefined
  const second = match[1]!
  if (second !== lastReadSecondText) {
    const ms = Date.parse(`${second}Z`)
    lastReadSecond = Number.isNaN(ms) ? undefined : BigInt(ms) * 1_000_000n
    lastReadSecondText = second
  }
  return lastReadSecond === undefined ? undefined : lastReadSecond + BigInt(match[2]!)
}
