/**
 * Gateway API v1 as far as it is carried out: HTTPRoute for the mesh (GAMMA) and Gateway for further host names.
 * Every field that is not here is refused by name; none is silently ignored.
 */

import { z } from 'zod'
import { type HttpRouteFilter, routeFilters } from './filters.ts'
import { type RouteRetrySpec, routeRetrySpec } from './retry.ts'
import { type HttpRouteMatch, routeMatch } from './route-match.ts'
import { duration, host, name, port } from './words.ts'

export interface ParentRef {
  readonly group?: string
  readonly kind?: 'Service' | 'Gateway'
  readonly namespace?: 'default'
  readonly name: string
  readonly sectionName?: string
  readonly port?: number
}

export interface BackendRef {
  readonly group?: '' | 'core' | 'writ.dev'
  readonly kind?: 'Service'
  readonly namespace?: 'default'
  readonly name: string
  readonly port?: number
  readonly weight?: number
}

export interface HttpRouteRule {
  readonly name?: string
  readonly matches?: readonly HttpRouteMatch[]
  /** Default none: only where a filter answers. */
  readonly backendRefs?: readonly BackendRef[]
  readonly filters?: readonly HttpRouteFilter[]
  readonly timeouts?: { readonly request?: string; readonly backendRequest?: string }
  readonly retry?: RouteRetrySpec
}

export interface HttpRouteSpec {
  readonly parentRefs: readonly ParentRef[]
  readonly hostnames?: readonly string[]
  readonly rules: readonly HttpRouteRule[]
}

export interface GatewaySpec {
  readonly gatewayClassName: 'writ'
  readonly listeners: readonly {
    readonly name: string
    readonly hostname: string
    readonly port: number
    readonly protocol: 'HTTP'
  }[]
}

const namespace = z.literal('default').describe('A mesh file has one namespace.')

const parentRef = z.strictObject({
  group: z.enum(['', 'core', 'gateway.networking.k8s.io']).exactOptional(),
  kind: z.enum(['Service', 'Gateway']).describe('Default Gateway.').exactOptional(),
  namespace: namespace.exactOptional(),
  name,
  sectionName: name.describe('Listener of a Gateway.').exactOptional(),
  port: port.describe('Must be the port of the Service.').exactOptional(),
})

const backendRef = z.strictObject({
  group: z.enum(['', 'core', 'writ.dev']).exactOptional(),
  kind: z.literal('Service').exactOptional(),
  namespace: namespace.exactOptional(),
  name,
  port: port.describe('Must be the port of the Service.').exactOptional(),
  weight: z.int().min(0).max(1_000_000).describe('Share of requests. Default 1.').exactOptional(),
})

export const httpRouteSpec: z.ZodType<HttpRouteSpec> = z.strictObject({
  parentRefs: z.array(parentRef).min(1).max(32),
  hostnames: z.array(host).min(1).max(16).describe('Only on routes of a Gateway (GAMMA).').exactOptional(),
  rules: z
    .array(
      z.strictObject({
        name: name.exactOptional(),
        matches: z.array(routeMatch).min(1).max(64).describe('Any one of them. Default: every path.').exactOptional(),
        backendRefs: z.array(backendRef).min(1).max(16).exactOptional(),
        filters: routeFilters.exactOptional(),
        timeouts: z
          .strictObject({
            request: duration.describe('Time for the whole request; 0s is none. Default 15s.').exactOptional(),
            backendRequest: duration.describe('Time for one attempt. Default none.').exactOptional(),
          })
          .exactOptional(),
        retry: routeRetrySpec.exactOptional(),
      }),
    )
    .min(1)
    .max(64),
})

export const gatewaySpec: z.ZodType<GatewaySpec> = z
  .strictObject({
    gatewayClassName: z.literal('writ'),
    listeners: z
      .array(
        z.strictObject({
          name,
          hostname: host.describe('A name that outbound listeners answer for beside the Services’ own.'),
          port: port.describe('TCP port of at least one outbound listener.'),
          protocol: z.literal('HTTP'),
        }),
      )
      .min(1)
      .max(64),
  })
  .describe('Host names that outbound listeners route by HTTPRoutes instead of to one Service.')
