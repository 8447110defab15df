/** What the Mesh document says of traces. */

import { z } from 'zod'
import type { TracingSettings } from '../../core/snapshot.ts'

export interface TracingSpec {
  readonly otlp: string
  readonly sample?: number
  readonly propagate?: TracingSettings['propagate']
}

export const tracingSpec: z.ZodType<TracingSpec> = z
  .strictObject({
    otlp: z
      .url({ protocol: /^https?$/, error: 'is not an address such as http://127.0.0.1:4318/v1/traces' })
      .max(2048)
      .describe('Where spans go: OTLP over HTTP, the whole address.'),
    sample: z
      .number()
      .min(0)
      .max(1)
      .describe('Part of the traces that begin here which is kept. Default 0.01. What a caller says goes first.')
      .exactOptional(),
    propagate: z
      .array(z.enum(['w3c', 'b3', 'b3multi']))
      .max(3)
      .describe('How the next one is told, besides the words that the caller used. Default w3c.')
      .exactOptional(),
  })
  .describe('Spans for requests. Default none.')

export const tracingOf = ({ otlp, sample = 0.01, propagate = ['w3c'] }: TracingSpec): TracingSettings => ({
  otlp,
  sample,
  propagate,
})
