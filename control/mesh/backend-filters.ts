/** Filters that stand at rules and at single backends alike: what is changed of headers (Gateway API HTTPHeaderFilter). */

import { z } from 'zod'
import { headerName } from './route-match.ts'

export interface HeaderValue {
  readonly name: string
  readonly value: string
}

export interface HeaderModifier {
  readonly set?: readonly HeaderValue[]
  readonly add?: readonly HeaderValue[]
  readonly remove?: readonly string[]
}

export type BackendFilter =
  | { readonly type: 'RequestHeaderModifier'; readonly requestHeaderModifier: HeaderModifier }
  | { readonly type: 'ResponseHeaderModifier'; readonly responseHeaderModifier: HeaderModifier }

export const fieldText: z.ZodString = z
  .string()
  .regex(/^(?:[\x21-\x7e](?:[\t\x20-\x7e]{0,4094}[\x21-\x7e])?)?$/, { error: 'is not a header value of ASCII' })

const fields = z
  .array(z.strictObject({ name: headerName, value: fieldText }))
  .max(16)
  .exactOptional()

export const headerModifier: z.ZodType<HeaderModifier> = z.strictObject({
  set: fields,
  add: fields,
  remove: z.array(headerName).max(16).exactOptional(),
})

export const backendFilters: z.ZodType<readonly BackendFilter[]> = z
  .array(
    z.discriminatedUnion(
      'type',
      [
        z.strictObject({ type: z.literal('RequestHeaderModifier'), requestHeaderModifier: headerModifier }),
        z.strictObject({ type: z.literal('ResponseHeaderModifier'), responseHeaderModifier: headerModifier }),
      ],
      { error: 'is neither RequestHeaderModifier nor ResponseHeaderModifier: others stand at the rule' },
    ),
  )
  .max(2)
