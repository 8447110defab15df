/** What a policy is attached to, as the Gateway API's policies say it. */

import { z } from 'zod'
import { name } from './words.ts'

export interface TargetRef {
  readonly group?: 'writ.dev' | 'gateway.networking.k8s.io'
  readonly kind: 'Workload' | 'Service' | 'HTTPRoute' | 'GRPCRoute' | 'Gateway' | 'ExternalService'
  readonly name: string
  readonly sectionName?: string
}

/** 1 to 256 of them. `kinds` says what it means to name one or another. */
export const targetRefs = (kinds: string): z.ZodType<readonly TargetRef[]> =>
  z
    .array(
      z.strictObject({
        group: z
          .enum(['writ.dev', 'gateway.networking.k8s.io'])
          .describe('That of the kind; routes and Gateways need it.')
          .exactOptional(),
        kind: z.enum(['Workload', 'Service', 'HTTPRoute', 'GRPCRoute', 'Gateway', 'ExternalService']).describe(kinds),
        name,
        sectionName: name.describe('One rule of a route, by its name. Default all of them.').exactOptional(),
      }),
    )
    .min(1)
    .max(256)
