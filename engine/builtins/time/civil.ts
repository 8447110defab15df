/** Days of the Gregorian calendar to dates and back, for every year that a number can hold. */

export interface Civil {
  readonly year: number
  /** 1 to 12. */
  readonly month: number
  readonly day: number
}

export const daySeconds = 86_400

/** Days since 1 January 1970. Months and days may lie outside of their range; they run over into the next. */
export function daysOf({ year, month, day }: Civil): number {
  const y = year + Math.floor((month - 1) / 12)
  const m = mod(month - 1, 12)
  const shifted = m < 2 ? y - 1 : y // Years begin in March here, so that the leap day is their last.
  const era = Math.floor(shifted / 400)
  const ofEra = shifted - era * 400
  const dayOfYear = Math.floor((153 * mod(m - 2, 12) + 2) / 5)
  return era * 146_097 + ofEra * 365 + Math.floor(ofEra / 4) - Math.floor(ofEra / 100) + dayOfYear + day - 1 - 719_468
}

export function civilOf(days: number): Civil {
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const ofEra = shifted - era * 146_097
  const year = Math.floor(
    (ofEra - Math.floor(ofEra / 1460) + Math.floor(ofEra / 36_524) - Math.floor(ofEra / 146_096)) / 365,
  )
  const dayOfYear = ofEra - (365 * year + Math.floor(year / 4) - Math.floor(year / 100))
  const m = Math.floor((5 * dayOfYear + 2) / 153)
  const month = m < 10 ? m + 3 : m - 9
  const day = dayOfYear - Math.floor((153 * m + 2) / 5) + 1
  return { year: era * 400 + year + (month <= 2 ? 1 : 0), month, day }
}

export const daysIn = (month: number, year: number): number =>
  daysOf({ year, month: month + 1, day: 1 }) - daysOf({ year, month, day: 1 })

const mod = (value: number, by: number): number => ((value % by) + by) % by
