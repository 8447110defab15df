/** The formats that a JSON Schema may name, as OPA checks them. One that is not known here lets everything pass. */

import { BuiltinError } from '../builtin.ts'
import { parseAddress } from '../net/address.ts'
import { parseTime } from '../time/parse.ts'
import { readUri } from '../uri.ts'
import { regexOf } from './words.ts'

/** Of what is no error but a BuiltinError, whether it is one. */
function passes(read: () => unknown): boolean {
  try {
    read()
    return true
  } catch (thrown) {
    if (thrown instanceof BuiltinError) return false
    throw thrown
  }
}

const time =
  (...layouts: readonly string[]) =>
  (text: string): boolean =>
    layouts.some((layout) => passes(() => parseTime(layout, text)))

const uriReference = (text: string): boolean => !text.includes('\\') && passes(() => readUri(text))
const uri = (text: string): boolean => uriReference(text) && readUri(text).scheme !== ''

const label = '[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?'
const hostname = new RegExp(`^${label}(?:\\.${label})*$`)

/** An address, alone or in angle brackets after a name; the forms of RFC 5322 that are in use. */
const email = /^(?:[^<>@]*<)?(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+|"(?:[^"\\]|\\.)*")@[^\s@<>,;:\\"()]+>?$/

const formats: Readonly<Record<string, (text: string) => boolean>> = {
  date: time('2006-01-02'),
  time: time('15:04:05Z07:00', '15:04:05'),
  'date-time': time('15:04:05', '15:04:05Z07:00', '2006-01-02', '2006-01-02T15:04:05Z07:00'),
  hostname: (text) => text.length < 256 && hostname.test(text),
  email: (text) => email.test(text),
  'idn-email': (text) => email.test(text),
  ipv4: (text) => parseAddress(text) !== undefined && text.includes('.'),
  ipv6: (text) => parseAddress(text)?.bits === 128,
  uri,
  'uri-reference': uriReference,
  iri: uri,
  'iri-reference': uriReference,
  'uri-template': (text) => uriReference(text) && /^(?:[^{]|\{[^}]*\})*$/.test(readUri(text).path),
  uuid: (text) => /^[a-f0-9]{8}-(?:[a-f0-9]{4}-){3}[a-f0-9]{12}$/i.test(text),
  regex: (text) => regexOf(text) !== undefined,
  'json-pointer': (text) => /^(?:\/(?:[^~/]|~0|~1)*)*$/.test(text),
  'relative-json-pointer': (text) => /^(?:0|[1-9][0-9]*)(?:#|(?:\/(?:[^~/]|~0|~1)*)*)$/.test(text),
}

export const isFormat = (name: string, text: string): boolean => !Object.hasOwn(formats, name) || formats[name]!(text)
