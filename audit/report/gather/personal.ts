/** Personal data in clear: members that were declared to be personal, and numbers of payment cards anywhere. */

import { isObject, type Json } from '../../../core/json.ts'
import type { AuditEvent } from '../../../core/record.ts'

/** Deeper than any record goes. */
const maxDepth = 64

/**
 * What stands in clear of a record, or undefined. `declared` are JSON Pointers (RFC 6901) into it; a member under one
 * that is sealed, withheld or a digest is not in clear. Card numbers are told by their length, first digit and check
 * digit (ISO/IEC 7812-1), so one number in ten of that length would be taken for one.
 */
export function personalIn(event: AuditEvent, declared: readonly string[]): string | undefined {
  const record = event as unknown as { readonly [member: string]: Json | undefined }
  const sealed = isObject(record['sealed']) ? Object.keys(record['sealed']) : []
  for (const pointer of declared) {
    const value = atPointer(record as Json, pointer)
    if (value === undefined || value === '' || isWithheld(value, pointer, sealed)) continue
    return pointer
  }
  return hasCard(record['input'], 0) || hasCard(record['reasons'], 0) ? 'card number' : undefined
}

const isWithheld = (value: Json, pointer: string, sealed: readonly string[]): boolean =>
  sealed.some((name) => pointer === name || pointer.endsWith(`/${name}`)) ||
  (isObject(value) && Object.keys(value).every((key) => ['...', '_sd', 'sha256', 'bytes'].includes(key)))

function atPointer(value: Json, pointer: string): Json | undefined {
  let here: Json | undefined = value
  for (const step of pointer.split('/').slice(1)) {
    const name = step.replaceAll('~1', '/').replaceAll('~0', '~')
    here = isObject(here) && Object.hasOwn(here, name) ? here[name] : undefined
  }
  return here
}

function hasCard(value: Json | undefined, depth: number): boolean {
  if (depth > maxDepth || value === undefined || value === null) return false
  if (typeof value === 'string') return value.length >= 13 && cardIn(value)
  if (Array.isArray(value)) return value.some((one) => hasCard(one, depth + 1))
  return isObject(value) && Object.values(value).some((one) => hasCard(one, depth + 1))
}

/** 13 to 19 digits that begin like those of a card network, perhaps in groups, alone between what is no letter or digit. */
const cardShape = /(?<![0-9A-Za-z])(?:[3-6]|2[2-7])(?:[ -]?[0-9]){12,18}(?![0-9A-Za-z])/g

export function cardIn(text: string): boolean {
  for (const [found] of text.matchAll(cardShape)) {
    const digits = found.replace(/[ -]/g, '')
    if (digits.length <= 19 && luhn(digits)) return true
  }
  return false
}

function luhn(digits: string): boolean {
  let sum = 0
  for (let i = 0; i < digits.length; i++) {
    const digit = digits.charCodeAt(digits.length - 1 - i) - 48
    sum += i % 2 === 0 ? digit : digit > 4 ? 2 * digit - 9 : 2 * digit
  }
  return sum % 10 === 0
}
