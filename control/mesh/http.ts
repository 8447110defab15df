/** Whom a policy may ask while it judges: what a PolicyBinding says of `http.send`. */

import { z } from 'zod'
import type { HttpAllowance } from '../../core/policy.ts'
import { wrongUrl } from '../../engine/bundle-url.ts'
import { duration, durationMs } from './words.ts'

export interface HttpSpec {
  readonly allow: readonly string[]
  readonly timeout?: string
  readonly maxBytes?: number
  readonly privateAddresses?: boolean
}

const begins = z
  .string()
  .max(2048)
  .superRefine((url, context) => {
    const message = wrongUrl(url) ?? (/%2e|%2f|%5c/i.test(url) ? 'hides steps in escapes' : undefined)
    if (message) context.addIssue({ code: 'custom', message })
  })

export const httpSpec: z.ZodType<HttpSpec> = z
  .strictObject({
    allow: z
      .array(begins)
      .min(1)
      .max(32)
      .describe('Beginnings of URLs: https, or http on a loopback address. The path is taken by whole steps.'),
    timeout: duration
      .refine((text) => durationMs(text) >= 1 && durationMs(text) <= 30_000, { error: 'is not between 1ms and 30s' })
      .describe('Time for all requests of one decision, 30s at most. Default 2s.')
      .exactOptional(),
    maxBytes: z
      .int()
      .min(1)
      .max(1024 ** 2)
      .describe('Longest answer, in bytes, 1 MiB at most. Default 64 KiB.')
      .exactOptional(),
    privateAddresses: z
      .boolean()
      .describe('Whether a name may stand for an address of a private network. Default false.')
      .exactOptional(),
  })
  .describe('Whom the policy may ask by http.send while it judges. Default nobody, and such a policy is not loaded.')

export const allowanceOf = ({ allow, timeout, maxBytes, privateAddresses }: HttpSpec): HttpAllowance => ({
  allow,
  timeoutMs: timeout === undefined ? 2000 : durationMs(timeout),
  maxBytes: maxBytes ?? 64 * 1024,
  privateAddresses: privateAddresses ?? false,
})
