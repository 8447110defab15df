/** What every OSCAL document of ours is made of: ids from the report, properties in our namespace, texts as OSCAL has them. */

import { toHex, utf8 } from '../../../core/bytes.ts'
import type { ComplianceReport } from '../../../core/compliance.ts'
import type { Json } from '../../../core/json.ts'
import type { Sha256 } from '../../../core/ports.ts'

/** Namespace of our own properties. */
const ns = 'https://writ.example/ns/oscal'

export type Members = { readonly [member: string]: Json }

/** A name-based UUID (RFC 9562 version 5 in shape, over SHA-256). */
export type NewUuid = (name: string) => string

export function uuidsOf(report: ComplianceReport, sha256: Sha256): NewUuid {
  const { framework, scope, from, to, checkpoints, seed } = report
  const key = [
    framework.id,
    framework.version,
    scope.name,
    from,
    to,
    seed,
    ...checkpoints.map(({ root }) => root),
  ].join('\n')
  return (name) => {
    const hex = toHex(sha256(utf8(`${key}\n\n${name}`)))
    const variant = '89ab'[Number.parseInt(hex[16]!, 16) % 4]
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
  }
}

export const prop = (name: string, value: string): Members => ({ name, ns, value: text(value) || '-' })

/** OSCAL's strings have no space at their ends and are not empty. */
export const text = (value: string): string => value.replace(/\s+/g, ' ').trim()
