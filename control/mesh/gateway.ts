/**
 * Gateway API v1 as far as it is carried out: HTTPRoute for the mesh (GAMMA), and Gateway for further host names and for
 * callers from outside.
 * Every field that is not here is refused by name; none is silently ignored.
 */

import { z } from 'zod'
import { type HttpRouteFilter, routeFilters } from './filters.ts'
import { type BackendRef, backendRefs, hostnames, namespace, type ParentRef, parentRefs } from './refs.ts'
import { type RouteRetrySpec, routeRetrySpec } from './retry.ts'
import { type HttpRouteMatch, routeMatch } from './route-match.ts'
import { type SessionSpec, sessionSpec } from './session.ts'
import { duration, hostPattern, name, port } from './words.ts'

export interface HttpRouteRule {
  readonly name?: string
  readonly matches?: readonly HttpRouteMatch[]
  /** Default none: only where a filter answers. */
  readonly backendRefs?: readonly BackendRef[]
  readonly filters?: readonly HttpRouteFilter[]
  readonly timeouts?: { readonly request?: string; readonly backendRequest?: string }
  readonly retry?: RouteRetrySpec
  readonly sessionPersistence?: SessionSpec
}

export interface HttpRouteSpec {
  readonly parentRefs: readonly ParentRef[]
  readonly hostnames?: readonly string[]
  readonly rules: readonly HttpRouteRule[]
}

export type RouteKind = 'HTTPRoute' | 'GRPCRoute' | 'TLSRoute'

export type GatewayProtocol = 'HTTP' | 'HTTPS' | 'TLS'

/** A Secret or a ConfigMap as Kubernetes mounts it: a folder of that name, which each machine has by itself. */
export interface FolderRef {
  readonly group?: '' | 'core'
  readonly kind?: 'Secret' | 'ConfigMap'
  readonly namespace?: 'default'
  readonly name: string
}

export interface GatewayListenerSpec {
  readonly name: string
  readonly hostname: string
  readonly port: number
  readonly protocol: GatewayProtocol
  readonly allowedRoutes?: {
    readonly namespaces?: { readonly from?: 'Same' | 'All' }
    readonly kinds?: readonly { readonly group?: 'gateway.networking.k8s.io'; readonly kind: RouteKind }[]
  }
  readonly tls?: {
    readonly mode?: 'Terminate' | 'Passthrough'
    readonly certificateRefs?: readonly FolderRef[]
    readonly options?: { readonly 'writ.dev/min-version'?: '1.2' | '1.3' }
  }
}

export interface ValidationSpec {
  readonly mode?: 'AllowValidOnly' | 'AllowMissing'
  readonly caCertificateRefs?: readonly FolderRef[]
  readonly trustDomain?: string
}

export interface GatewaySpec {
  readonly gatewayClassName: 'writ' | 'writ-ingress'
  readonly listeners: readonly GatewayListenerSpec[]
  readonly tls?: { readonly frontend: { readonly default: { readonly validation: ValidationSpec } } }
}

/** For callers from outside of the mesh. */
export const isIngress = ({ spec }: { readonly spec: GatewaySpec }): boolean => spec.gatewayClassName === 'writ-ingress'

export const httpRouteSpec: z.ZodType<HttpRouteSpec> = z.strictObject({
  parentRefs,
  hostnames: hostnames.exactOptional(),
  rules: z
    .array(
      z.strictObject({
        name: name.exactOptional(),
        matches: z.array(routeMatch).min(1).max(64).describe('Any one of them. Default: every path.').exactOptional(),
        backendRefs: backendRefs.exactOptional(),
        filters: routeFilters.exactOptional(),
        timeouts: z
          .strictObject({
            request: duration.describe('Time for the whole request; 0s is none. Default 15s.').exactOptional(),
            backendRequest: duration.describe('Time for one attempt. Default none.').exactOptional(),
          })
          .exactOptional(),
        retry: routeRetrySpec.exactOptional(),
        sessionPersistence: sessionSpec.exactOptional(),
      }),
    )
    .min(1)
    .max(64),
})

export const folderRef: z.ZodType<FolderRef> = z.strictObject({
  group: z.enum(['', 'core']).exactOptional(),
  kind: z.enum(['Secret', 'ConfigMap']).exactOptional(),
  namespace: namespace.exactOptional(),
  name: name.describe('Folder of that name below --secrets, as Kubernetes mounts one.'),
})

const validation = z.strictObject({
  mode: z
    .enum(['AllowValidOnly', 'AllowMissing'])
    .describe(
      'Whether a certificate must be shown; one that is shown must hold in both. AllowMissing is ours. Default AllowValidOnly.',
    )
    .exactOptional(),
  caCertificateRefs: z
    .array(folderRef)
    .min(1)
    .max(8)
    .describe('Roots (ca.crt) of certificates that are no SVIDs. Default SVIDs of the mesh alone are taken.')
    .exactOptional(),
  trustDomain: z
    .string()
    .regex(/^[a-z0-9._-]{1,255}$/, { error: 'is not a trust domain: lower-case letters, digits, ".", "_", "-"' })
    .describe(
      'Ours: callers by those roots are spiffe://<trustDomain>/<DNS name of the certificate>. Needed beside caCertificateRefs.',
    )
    .exactOptional(),
})

export const gatewaySpec: z.ZodType<GatewaySpec> = z
  .strictObject({
    gatewayClassName: z
      .enum(['writ', 'writ-ingress'])
      .describe('writ: further names at outbound listeners. writ-ingress: ports for callers from outside.'),
    listeners: z
      .array(
        z.strictObject({
          name,
          hostname: hostPattern.describe(
            'A name that is answered for, or all below one (*.shop.example); of a mesh gateway one name, beside the Services’ own.',
          ),
          port: port.describe('Of a mesh gateway: TCP port of at least one outbound listener.'),
          protocol: z.enum(['HTTP', 'HTTPS', 'TLS']).describe('HTTPS and TLS on gateways of class writ-ingress.'),
          allowedRoutes: z
            .strictObject({
              namespaces: z
                .strictObject({ from: z.enum(['Same', 'All']).exactOptional() })
                .describe('A mesh file has one namespace, so both mean the same.')
                .exactOptional(),
              kinds: z
                .array(
                  z.strictObject({
                    group: z.literal('gateway.networking.k8s.io').exactOptional(),
                    kind: z.enum(['HTTPRoute', 'GRPCRoute', 'TLSRoute']),
                  }),
                )
                .min(1)
                .max(8)
                .describe('Kinds that may be attached. Default those of the protocol.')
                .exactOptional(),
            })
            .exactOptional(),
          tls: z
            .strictObject({
              mode: z
                .enum(['Terminate', 'Passthrough'])
                .describe('Terminate for HTTPS, Passthrough for TLS. Default that of the protocol.')
                .exactOptional(),
              certificateRefs: z
                .array(folderRef)
                .min(1)
                .max(8)
                .describe('tls.crt and tls.key; the first that can be used is shown.')
                .exactOptional(),
              options: z
                .strictObject({
                  'writ.dev/min-version': z
                    .enum(['1.2', '1.3'])
                    .describe('Oldest version of TLS, the same for all HTTPS listeners of a port. Default 1.3.')
                    .exactOptional(),
                })
                .exactOptional(),
            })
            .exactOptional(),
        }),
      )
      .min(1)
      .max(64),
    tls: z
      .strictObject({ frontend: z.strictObject({ default: z.strictObject({ validation }) }) })
      .describe('Certificates of callers, at all of its HTTPS listeners. Default nobody is asked for one.')
      .exactOptional(),
  })
  .describe('Host names that outbound listeners route by HTTPRoutes, or ports for callers from outside of the mesh.')
