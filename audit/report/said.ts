/**
 * What people answer for in the log: attestations, which a report shows, and declarations, which stand beside the declared
 * file. Of members that the file has, the file counts; of others the newest declaration. Approvals and exceptions add up.
 */

import type { Attested, Declaration } from '../../core/compliance.ts'
import { isObject, type Json } from '../../core/json.ts'
import { decisionId } from '../../core/record.ts'
import type { VerifiedLeaf } from '../verify/verify.ts'
import { type Declared, declarable, readDeclared } from './files/declared.ts'
import { msOf, textAt } from './gather/view.ts'

/** Of each, the newest. */
const maxAttested = 10_000
const maxDeclarations = 1000

export interface Said {
  readonly attested: readonly Attested[]
  readonly declarations: readonly (Declaration & { readonly declared: Declared; readonly atMs: number })[]
}

export class SaidGatherer {
  readonly #fromMs: number
  readonly #toMs: number
  readonly #attested: Attested[] = []
  readonly #declarations: Said['declarations'][number][] = []

  constructor({ fromMs, toMs }: { readonly fromMs: number; readonly toMs: number }) {
    this.#fromMs = fromMs
    this.#toMs = toMs
  }

  /** Never throws: whoever wrote a body may have put anything in it. */
  take({ event }: Pick<VerifiedLeaf, 'event'>): void {
    if (event?.kind !== 'attestation') return
    const atMs = msOf(event.timestamp)
    if (atMs === undefined || atMs >= this.#toMs) return
    const body = event as unknown as { readonly [member: string]: Json | undefined }
    const text = (name: string): string => textAt(body as Json, name) ?? ''
    const named = { id: decisionId(event), at: event.timestamp, by: text('by'), actor: text('actor') }
    if (body['about'] === 'declaration') {
      const declared = declaredBy(body['declared'])
      if (!declared) return
      this.#declarations.push({ ...named, members: declared.given, declared, atMs })
      if (this.#declarations.length > maxDeclarations) this.#declarations.shift()
    } else if (atMs >= this.#fromMs) {
      const documents = Array.isArray(body['documents']) ? body['documents'] : []
      this.#attested.push({
        ...{ ...named, about: text('about'), subject: text('subject'), statement: text('statement') },
        documents: documents.map((one) => ({ name: textAt(one, 'name') ?? '', sha256: textAt(one, 'sha256') ?? '' })),
      })
      if (this.#attested.length > maxAttested) this.#attested.shift()
    }
  }

  finish(): Said {
    return { attested: [...this.#attested], declarations: [...this.#declarations].sort((a, b) => a.atMs - b.atMs) }
  }
}

function declaredBy(value: Json | undefined): Declared | undefined {
  if (!isObject(value) || Object.keys(value).some((name) => !declarable.includes(name))) return undefined
  try {
    return readDeclared(value, 'declaration')
  } catch {
    return undefined
  }
}

/** An approval that came to the log late is no earlier than the log has it. */
export function withDeclarations(file: Declared, declarations: Said['declarations']): Declared {
  let merged = file
  for (const { declared, atMs } of declarations) {
    const own = Object.fromEntries(
      declared.given
        .filter((name) => !file.given.includes(name) && name !== 'approvals' && name !== 'exceptions')
        .map((name) => [name, declared[name as keyof Declared]]),
    )
    merged = {
      ...merged,
      ...own,
      given: [...new Set([...merged.given, ...declared.given])],
      approvals: [
        ...merged.approvals,
        ...declared.approvals.map((one) => ({
          ...one,
          approvedAt: new Date(Math.max(Date.parse(one.approvedAt), atMs)).toISOString(),
        })),
      ],
      exceptions: [...merged.exceptions, ...declared.exceptions],
    }
  }
  return merged
}
