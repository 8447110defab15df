/** The kinds a mesh file may hold, each as one whole document. The committed JSON Schemas are made from these. */

import { z } from 'zod'
import type { Json } from '../../core/json.ts'
import { type RegistrationEntrySpec, registrationEntrySpec } from './entries.ts'
import { type ExternalServiceSpec, externalServiceSpec } from './external.ts'
import { type FederatedDomainSpec, federatedDomainSpec } from './federated.ts'
import { type RouteFilterSpec, routeFilterSpec } from './filters.ts'
import { type GatewaySpec, gatewaySpec, type HttpRouteSpec, httpRouteSpec } from './gateway.ts'
import { type GrpcRouteSpec, grpcRouteSpec } from './grpc-routes.ts'
import {
  type MeshSpec,
  meshSpec,
  type PolicyBindingSpec,
  policyBindingSpec,
  type ServiceSpec,
  serviceSpec,
  type WorkloadSpec,
  workloadSpec,
} from './kinds.ts'
import { type PlatformIssuerSpec, platformIssuerSpec } from './platforms.ts'
import { type PolicyDataSpec, policyDataSpec } from './policy-data.ts'
import { type PolicySourceSpec, policySourceSpec } from './policy-sources.ts'
import { type QuarantineSpec, quarantineSpec } from './quarantine.ts'
import { type TlsRouteSpec, tlsRouteSpec } from './tls-routes.ts'
import { type TrafficPolicySpec, trafficPolicySpec } from './traffic.ts'
import { name } from './words.ts'

export interface Specs {
  readonly Mesh: MeshSpec
  readonly Workload: WorkloadSpec
  readonly Service: ServiceSpec
  readonly PolicyBinding: PolicyBindingSpec
  readonly PolicySource: PolicySourceSpec
  readonly PolicyData: PolicyDataSpec
  readonly Quarantine: QuarantineSpec
  readonly RegistrationEntry: RegistrationEntrySpec
  readonly PlatformIssuer: PlatformIssuerSpec
  readonly FederatedDomain: FederatedDomainSpec
  readonly TrafficPolicy: TrafficPolicySpec
  readonly RouteFilter: RouteFilterSpec
  readonly ExternalService: ExternalServiceSpec
  readonly HTTPRoute: HttpRouteSpec
  readonly GRPCRoute: GrpcRouteSpec
  readonly TLSRoute: TlsRouteSpec
  readonly Gateway: GatewaySpec
}

export type Kind = keyof Specs

export const apiVersions: Readonly<Record<Kind, string>> = {
  Mesh: 'writ.dev/v1',
  Workload: 'writ.dev/v1',
  Service: 'writ.dev/v1',
  PolicyBinding: 'writ.dev/v1',
  PolicySource: 'writ.dev/v1',
  PolicyData: 'writ.dev/v1',
  Quarantine: 'writ.dev/v1',
  RegistrationEntry: 'writ.dev/v1',
  PlatformIssuer: 'writ.dev/v1',
  FederatedDomain: 'writ.dev/v1',
  TrafficPolicy: 'writ.dev/v1',
  RouteFilter: 'writ.dev/v1',
  ExternalService: 'writ.dev/v1',
  HTTPRoute: 'gateway.networking.k8s.io/v1',
  GRPCRoute: 'gateway.networking.k8s.io/v1',
  TLSRoute: 'gateway.networking.k8s.io/v1',
  Gateway: 'gateway.networking.k8s.io/v1',
}

export const kinds: readonly Kind[] = Object.keys(apiVersions) as Kind[]

export const isKind = (text: unknown): text is Kind => typeof text === 'string' && Object.hasOwn(apiVersions, text)

export interface MeshDocument<Spec> {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly creationTimestamp?: string }
  readonly spec: Spec
}

/** Labels and annotations are for people; they change nothing by definition. */
const metadata = z.strictObject({
  name,
  namespace: z.literal('default').describe('A mesh file has one namespace.').exactOptional(),
  labels: z.record(z.string(), z.string()).exactOptional(),
  annotations: z.record(z.string(), z.string()).exactOptional(),
  creationTimestamp: z.iso
    .datetime({ error: 'is not a time such as 2026-11-23T17:04:09Z' })
    .describe('Of two equal routes the older one wins.')
    .exactOptional(),
})

const whole = <K extends Kind>(kind: K, spec: z.ZodType<Specs[K]>): z.ZodType<MeshDocument<Specs[K]>> =>
  z.strictObject({ apiVersion: z.literal(apiVersions[kind]), kind: z.literal(kind), metadata, spec })

export const documents: { readonly [K in Kind]: z.ZodType<MeshDocument<Specs[K]>> } = {
  Mesh: whole('Mesh', meshSpec),
  Workload: whole('Workload', workloadSpec),
  Service: whole('Service', serviceSpec),
  PolicyBinding: whole('PolicyBinding', policyBindingSpec),
  PolicySource: whole('PolicySource', policySourceSpec),
  PolicyData: whole('PolicyData', policyDataSpec),
  Quarantine: whole('Quarantine', quarantineSpec),
  RegistrationEntry: whole('RegistrationEntry', registrationEntrySpec),
  PlatformIssuer: whole('PlatformIssuer', platformIssuerSpec),
  FederatedDomain: whole('FederatedDomain', federatedDomainSpec),
  TrafficPolicy: whole('TrafficPolicy', trafficPolicySpec),
  RouteFilter: whole('RouteFilter', routeFilterSpec),
  ExternalService: whole('ExternalService', externalServiceSpec),
  HTTPRoute: whole('HTTPRoute', httpRouteSpec),
  GRPCRoute: whole('GRPCRoute', grpcRouteSpec),
  TLSRoute: whole('TLSRoute', tlsRouteSpec),
  Gateway: whole('Gateway', gatewaySpec),
}

/** For editors and other tools. What only holds between fields or documents is checked by `writ check` alone. */
export const jsonSchemaOf = (kind: Kind): Json => ({
  ...(z.toJSONSchema(documents[kind], { io: 'input' }) as { readonly [key: string]: Json }),
  title: `${apiVersions[kind]} ${kind}`,
})
