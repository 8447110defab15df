/** What routes name: what they are attached to, where they lead, and by which hosts (Gateway API). */

import { z } from 'zod'
import { type BackendFilter, backendFilters } from './backend-filters.ts'
import type { KnownService } from './services.ts'
import { hostPattern, name, port } from './words.ts'

export interface ParentRef {
  readonly group?: string
  readonly kind?: 'Service' | 'Gateway'
  readonly namespace?: 'default'
  readonly name: string
  readonly sectionName?: string
  readonly port?: number
}

/** A Service, by its name. */
export interface ServiceRef {
  readonly name: string
  readonly port?: number
}

export interface BackendRef {
  readonly group?: '' | 'core' | 'writ.dev'
  readonly kind?: 'Service'
  readonly namespace?: 'default'
  readonly name: string
  readonly port?: number
  readonly weight?: number
  readonly filters?: readonly BackendFilter[]
}

export const namespace: z.ZodType<'default', 'default'> = z
  .literal('default')
  .describe('A mesh file has one namespace.')

const parentRef: z.ZodType<ParentRef> = z.strictObject({
  group: z.enum(['', 'core', 'gateway.networking.k8s.io']).exactOptional(),
  kind: z.enum(['Service', 'Gateway']).describe('Default Gateway.').exactOptional(),
  namespace: namespace.exactOptional(),
  name,
  sectionName: name.describe('Listener of a Gateway.').exactOptional(),
  port: port.describe('Must be the port of the Service.').exactOptional(),
})

const ofService = {
  group: z.enum(['', 'core', 'writ.dev']).exactOptional(),
  kind: z.literal('Service').exactOptional(),
  namespace: namespace.exactOptional(),
  name,
  port: port.describe('Must be the port of the Service.').exactOptional(),
}

export const serviceRef: z.ZodType<ServiceRef> = z.strictObject(ofService)

const backendRef: z.ZodType<BackendRef> = z.strictObject({
  ...ofService,
  weight: z.int().min(0).max(1_000_000).describe('Share of requests. Default 1.').exactOptional(),
  filters: backendFilters
    .describe('Header modifiers, carried out after those of the rule where requests go there.')
    .exactOptional(),
})

export const parentRefs: z.ZodType<readonly ParentRef[]> = z.array(parentRef).min(1).max(32)

export const hostnames: z.ZodType<readonly string[]> = z
  .array(hostPattern)
  .min(1)
  .max(16)
  .describe('Only on routes of a Gateway (GAMMA).')

export const backendRefs: z.ZodType<readonly BackendRef[]> = z.array(backendRef).min(1).max(16)

export interface WrongRef {
  readonly field: 'name' | 'port'
  readonly problem: string
  readonly cure: string
}

/** What is wrong with naming a Service so; undefined where nothing is. */
export function wrongService(
  ref: ServiceRef,
  services: ReadonlyMap<string, Pick<KnownService, 'port'>>,
): WrongRef | undefined {
  const known = services.get(ref.name)
  if (!known) return { field: 'name', problem: `there is no Service ${ref.name}`, cure: 'add it, or correct the name' }
  if (ref.port === undefined || ref.port === known.port) return undefined
  return {
    field: 'port',
    problem: `is not the port of Service ${ref.name}`,
    cure: `write ${known.port} or leave it out`,
  }
}
