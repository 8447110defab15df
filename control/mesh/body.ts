/** What a PolicyBinding says of bodies: how much of one a policy sees, and which members of it records keep. */

import { z } from 'zod'
import type { InputPath, PolicyUse } from '../../core/policy.ts'

export interface BodySpec {
  readonly maxBytes?: number
}

/** `from.account`, or its steps where a name holds a dot. */
export type MemberSpec = string | readonly string[]

/** Bytes of a body that a policy sees where its binding names no number. */
const defaultBytes = 8192
/** Each caller may have so many bytes held while its request is judged. */
const maxBytes = 262_144

export const bodySpec: z.ZodType<BodySpec> = z
  .strictObject({
    maxBytes: z
      .int()
      .min(1)
      .max(maxBytes)
      .describe(
        `Bytes that are read before the policy is asked; of a longer body it sees so many. Default ${defaultBytes}.`,
      )
      .exactOptional(),
  })
  .describe('Lets the policy see request bodies. Default: it sees none.')

const step = z.string().min(1).max(128)

/** Members of what a policy sees, by their names. */
export const membersSpec = (what: string): z.ZodType<readonly MemberSpec[]> =>
  z
    .array(
      z.union([z.string().regex(/^[^.]{1,128}(?:\.[^.]{1,128}){0,15}$/), z.array(step).max(16)], {
        error: 'is neither names with dots between them, as from.account, nor a list of names',
      }),
    )
    .max(32)
    .describe(what)

export const recordBodySpec: z.ZodType<readonly MemberSpec[]> = membersSpec(
  'Members of parsed_body that records keep: from.account, or [from, account]; [] is all of it. Default none.',
)

export function bodyUse(
  body: BodySpec | undefined,
  record: readonly MemberSpec[] | undefined,
): Pick<PolicyUse, 'bodyBytes' | 'recordBody'> {
  if (!body) return {}
  const paths = pathsOf(record)
  return { bodyBytes: body.maxBytes ?? defaultBytes, ...(paths.length > 0 ? { recordBody: paths } : {}) }
}

/** Each once, as steps. */
export function pathsOf(members: readonly MemberSpec[] | undefined): readonly InputPath[] {
  const paths = (members ?? []).map((member): InputPath => (typeof member === 'string' ? member.split('.') : member))
  return [...new Map(paths.map((path) => [JSON.stringify(path), path])).values()]
}
