/** UTCTime and GeneralizedTime (RFC 5280 section 4.1.2.5). */

import { type DerReader, tags } from './der.ts'
import { latin1 } from './name.ts'

export interface Moment {
  /** RFC 3339, with the zone it was written in. */
  readonly text: string
  /** Since 1970. */
  readonly seconds: number
}

const utcTime = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(Z|[+-]\d{4})$/
const generalizedTime = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(Z|[+-]\d{4})$/

export function readMoment(der: DerReader): Moment {
  const short = der.next === tags.utcTime
  const text = latin1(der.read(short ? tags.utcTime : tags.generalizedTime))
  const [, year, month, day, hour, minute, second = '00', zone] = (short ? utcTime : generalizedTime).exec(text) ?? []
  if (year === undefined || zone === undefined || /^[+-]0000$/.test(zone)) throw der.malformed()
  const years = short ? `${Number(year) >= 50 ? '19' : '20'}${year}` : year
  const local = `${years}-${month}-${day}T${hour}:${minute}:${second}`
  const ms = Date.parse(`${local}Z`)
  // A 30th of February would be read as the 2nd of March.
  if (Number.isNaN(ms) || !new Date(ms).toISOString().startsWith(local)) throw der.malformed()
  const offset = zone === 'Z' ? 'Z' : `${zone.slice(0, 3)}:${zone.slice(3)}`
  return { text: `${local}${offset}`, seconds: ms / 1000 - offsetSeconds(zone) }
}

function offsetSeconds(zone: string): number {
  if (zone === 'Z') return 0
  const seconds = Number(zone.slice(1, 3)) * 3600 + Number(zone.slice(3)) * 60
  return zone.startsWith('-') ? -seconds : seconds
}
