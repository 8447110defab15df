/** Go's time layouts: the reference time, 2 January 2006 at 15:04:05 in MST, shows how a time is written. */

/** A part of a layout that stands for a part of a time; all else stands for itself. */
const part = new RegExp(
  [
    ...['January', 'Jan(?![a-z])', 'Monday', 'Mon(?![a-z])', 'MST', '0[1-6]', '002', '15', '1', '2006', '2'],
    ...['_2(?!006)', '__2', '3', '4', '5', 'PM', 'pm'],
    ...['[-Z]070000', '[-Z]07:00:00', '[-Z]0700', '[-Z]07:00', '[-Z]07'],
    ...['[.,]0+(?![0-9])', '[.,]9+(?![0-9])'],
  ].join('|'),
)

/** Splits off all before the next part, and the part. */
export function nextPart(layout: string): { readonly prefix: string; readonly part: string; readonly rest: string } {
  const found = part.exec(layout)
  if (!found) return { prefix: layout, part: '', rest: '' }
  const end = found.index + found[0].length
  return { prefix: layout.slice(0, found.index), part: found[0], rest: layout.slice(end) }
}

export const monthNames: readonly string[] = [
  ...['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October'],
  ...['November', 'December'],
]

export const dayNames: readonly string[] = [
  ...['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'],
]

/** The layouts that Rego knows by name. */
export const namedLayouts: Readonly<Record<string, string>> = {
  ANSIC: 'Mon Jan _2 15:04:05 2006',
  UnixDate: 'Mon Jan _2 15:04:05 MST 2006',
  RubyDate: 'Mon Jan 02 15:04:05 -0700 2006',
  RFC822: '02 Jan 06 15:04 MST',
  RFC822Z: '02 Jan 06 15:04 -0700',
  RFC850: 'Monday, 02-Jan-06 15:04:05 MST',
  RFC1123: 'Mon, 02 Jan 2006 15:04:05 MST',
  RFC1123Z: 'Mon, 02 Jan 2006 15:04:05 -0700',
  RFC3339: '2006-01-02T15:04:05Z07:00',
  RFC3339Nano: '2006-01-02T15:04:05.999999999Z07:00',
}
