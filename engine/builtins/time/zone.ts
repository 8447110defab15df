/** Time zones: what the host's Intl knows of the tz database. */

import { BuiltinError } from '../builtin.ts'
import type { PatternCache } from '../patterns.ts'

export interface Zone {
  /** Seconds east of UTC at a time, which is in seconds since 1970. */
  offsetAt(seconds: number): number
  /** Abbreviation at a time, such as CET; empty where there is none but the offset. */
  nameAt(seconds: number): string
}

export const utc: Zone = { offsetAt: () => 0, nameAt: () => 'UTC' }

/** `Local` is UTC: a policy answers the same on every host. */
export function zoneOf(name: string, patterns: PatternCache): Zone {
  if (name === '' || name === 'UTC' || name === 'Local') return utc
  return patterns.compiled('zone', name, () => open(name))
}

function open(name: string): Zone {
  if (!/^[A-Za-z][A-Za-z0-9_+/-]*$/.test(name)) throw new BuiltinError(`unknown time zone ${name}`)
  let fields: Intl.DateTimeFormat
  try {
    fields = new Intl.DateTimeFormat('en-US', { ...numeric, timeZone: name })
  } catch {
    throw new BuiltinError(`unknown time zone ${name}`)
  }
  let names: Intl.DateTimeFormat | undefined
  return {
    offsetAt: (seconds) => {
      const part = Object.fromEntries(fields.formatToParts(seconds * 1000).map(({ type, value }) => [type, value]))
      const year = Number(part['year']) * (part['era'] === 'BC' ? -1 : 1)
      const time = [part['hour'], part['minute'], part['second']].map(Number) as [number, number, number]
      return Date.UTC(year, Number(part['month']) - 1, Number(part['day']), ...time) / 1000 - seconds
    },
    nameAt: (seconds) => {
      names ??= new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'long' })
      const long = names.formatToParts(seconds * 1000).find(({ type }) => type === 'timeZoneName')?.value ?? ''
      return abbreviations[long] ?? ''
    },
  }
}

const numeric: Intl.DateTimeFormatOptions = {
  ...{ hourCycle: 'h23', era: 'short', year: 'numeric', month: 'numeric', day: 'numeric' },
  ...{ hour: 'numeric', minute: 'numeric', second: 'numeric' },
}

/** Intl has names and the tz database abbreviations; these are the ones that are letters there. */
const abbreviations: Readonly<Record<string, string>> = {
  'Coordinated Universal Time': 'UTC',
  'Greenwich Mean Time': 'GMT',
  'British Summer Time': 'BST',
  'Irish Standard Time': 'IST',
  'Western European Standard Time': 'WET',
  'Western European Summer Time': 'WEST',
  'Central European Standard Time': 'CET',
  'Central European Summer Time': 'CEST',
  'Eastern European Standard Time': 'EET',
  'Eastern European Summer Time': 'EEST',
  'Moscow Standard Time': 'MSK',
  'Eastern Standard Time': 'EST',
  'Eastern Daylight Time': 'EDT',
  'Central Standard Time': 'CST',
  'Central Daylight Time': 'CDT',
  'Mountain Standard Time': 'MST',
  'Mountain Daylight Time': 'MDT',
  'Pacific Standard Time': 'PST',
  'Pacific Daylight Time': 'PDT',
  'Alaska Standard Time': 'AKST',
  'Alaska Daylight Time': 'AKDT',
  'Hawaii-Aleutian Standard Time': 'HST',
  'Atlantic Standard Time': 'AST',
  'Atlantic Daylight Time': 'ADT',
  'Newfoundland Standard Time': 'NST',
  'Newfoundland Daylight Time': 'NDT',
  'Israel Standard Time': 'IST',
  'Israel Daylight Time': 'IDT',
  'East Africa Time': 'EAT',
  'Central Africa Time': 'CAT',
  'West Africa Standard Time': 'WAT',
  'South Africa Standard Time': 'SAST',
  'Pakistan Standard Time': 'PKT',
  'India Standard Time': 'IST',
  'Western Indonesia Time': 'WIB',
  'Central Indonesia Time': 'WITA',
  'Eastern Indonesia Time': 'WIT',
  'China Standard Time': 'CST',
  'Hong Kong Standard Time': 'HKT',
  'Japan Standard Time': 'JST',
  'Korean Standard Time': 'KST',
  'Australian Western Standard Time': 'AWST',
  'Australian Central Standard Time': 'ACST',
  'Australian Central Daylight Time': 'ACDT',
  'Australian Eastern Standard Time': 'AEST',
  'Australian Eastern Daylight Time': 'AEDT',
  'New Zealand Standard Time': 'NZST',
  'New Zealand Daylight Time': 'NZDT',
}
