/** Grants of outside auditors: who may look at which part of the log, for which time, until when. Of tokens only digests are kept. */

import { createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { isMissing, writeWhole } from '../../audit/node/durable.ts'
import type { ComplianceScope } from '../../core/compliance.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import { parseJson } from '../../core/json.ts'
import { parseSpiffeId, type SpiffeId } from '../../core/spiffe.ts'

export interface Grant {
  /** What the log calls whoever has it. */
  readonly name: string
  readonly scope: ComplianceScope
  /** From included, to not; milliseconds since 1970. */
  readonly fromMs: number
  readonly toMs: number
  /** From then on it is good for nothing. */
  readonly untilMs: number
  /** SHA-256 of the token, lower-case hex; absent where a certificate proves who it is. */
  readonly sha256?: string
  /** Who has to prove this name by a certificate. */
  readonly id?: SpiffeId
}

export interface Grants {
  list(): readonly Grant[]
  /** A token, shown here once and kept nowhere; undefined for a grant to a certificate. Throws `in_use`. */
  add(grant: Omit<Grant, 'sha256'>): Promise<string | undefined>
  /** False where there is none of that name. */
  revoke(name: string): Promise<boolean>
  /** One that is not over. */
  find(by: { readonly token: string } | { readonly id: SpiffeId }): Grant | undefined
}

/** Grants that are kept at once, those that are over among them until there is need. */
const maxGrants = 1000

const texts = z.array(z.string().max(2048)).max(10_000)
const shape = z.strictObject({
  v: z.literal(1),
  grants: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(128),
        scope: z.strictObject({
          ...{ name: z.string().max(1024), services: texts, namespaces: texts, zones: texts, workloads: texts },
        }),
        ...{ fromMs: z.int(), toMs: z.int(), untilMs: z.int() },
        sha256: z
          .string()
          .regex(/^[0-9a-f]{64}$/)
          .exactOptional(),
        id: z.custom<SpiffeId>((it) => typeof it === 'string' && parseSpiffeId(it) !== undefined).exactOptional(),
      }),
    )
    .max(maxGrants),
})

/** Throws `version` where the file is none of ours. */
export async function openGrants(path: string, nowMs: () => number): Promise<Grants> {
  let grants: readonly Grant[] = await read(path)
  const put = async (next: readonly Grant[]): Promise<void> => {
    await writeWhole(path, `${JSON.stringify({ v: 1, grants: next })}\n`, 0o600)
    grants = next
  }
  const goesOn = ({ untilMs }: Grant): boolean => nowMs() < untilMs
  return {
    list: () => grants,
    async add(grant) {
      const others = grants.length < maxGrants ? grants : grants.filter(goesOn)
      if (others.length >= maxGrants)
        throw new WritError('in_use', `there are ${maxGrants} grants`, { cure: 'revoke some' })
      if (others.some((one) => one.name === grant.name && goesOn(one))) {
        throw new WritError('in_use', `there is a grant ${grant.name}`, {
          cure: 'revoke it first, or choose another name',
        })
      }
      const token = grant.id === undefined ? `wa_${randomBytes(32).toString('base64url')}` : undefined
      const sealed = { ...grant, ...(token !== undefined && { sha256: digest(token) }) }
      await put([...others.filter(({ name }) => name !== grant.name), sealed])
      return token
    },
    async revoke(name) {
      if (!grants.some((one) => one.name === name)) return false
      await put(grants.filter((one) => one.name !== name))
      return true
    },
    find(by) {
      // Looked up by digest: what the time tells of a digest tells nothing of a token.
      const sha256 = 'token' in by ? digest(by.token) : undefined
      return grants.find((one) => goesOn(one) && ('token' in by ? one.sha256 === sha256 : one.id === by.id))
    },
  }
}

const digest = (token: string): string => createHash('sha256').update(token).digest('hex')

async function read(path: string): Promise<readonly Grant[]> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    if (isMissing(cause)) return undefined
    throw new WritError('unavailable', `${path}: ${messageOf(cause)}`, { cure: 'check its owner and mode', cause })
  })
  if (text === undefined) return []
  const found = shape.safeParse(parseJson(text))
  if (found.success) return found.data.grants
  throw new WritError('version', `${path} is not a file of grants that this program reads`, {
    cure: 'move it away and grant anew',
  })
}
