/** Who is in scope: by service, namespace, zone or name. */

import type { ComplianceScope } from '../../../core/compliance.ts'
import { isObject, type Json } from '../../../core/json.ts'
import type { AuditEvent } from '../../../core/record.ts'

export type Zones = Readonly<Record<string, readonly string[]>>

export const everything: ComplianceScope = {
  name: 'everything',
  services: [],
  namespaces: [],
  zones: [],
  workloads: [],
}

/** A name, or one that ends in `*` and stands for all that begin like it. */
export const fits = (pattern: string, name: string): boolean =>
  pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name

/** The first zone that names it. */
export function zoneOf(zones: Zones, id: string): string | undefined {
  for (const [zone, patterns] of Object.entries(zones)) if (patterns.some((one) => fits(one, id))) return zone
  return undefined
}

/** Of ids as Kubernetes has them: `spiffe://td/ns/shop/sa/web`. */
export const namespaceOf = (id: string): string | undefined => /^spiffe:\/\/[^/]+\/ns\/([^/]+)\//.exec(id)?.[1]

/** Whether a workload, with the service that it was called as where there is one, is in scope. Remembers. */
export function scopeTest(scope: ComplianceScope, zones: Zones): (id: string, service?: string) => boolean {
  const { services, namespaces, workloads } = scope
  const all = [services, namespaces, scope.zones, workloads].every((list) => list.length === 0)
  if (all) return () => true
  const known = new Map<string, boolean>()
  const test = (id: string, service: string | undefined): boolean =>
    (services.length === 0 || (service !== undefined && services.includes(service))) &&
    (namespaces.length === 0 || namespaces.includes(namespaceOf(id) ?? '')) &&
    (scope.zones.length === 0 || scope.zones.includes(zoneOf(zones, id) ?? '')) &&
    (workloads.length === 0 || workloads.some((one) => fits(one, id)))
  return (id, service) => {
    const key = `${id} ${service ?? ''}`
    const before = known.get(key)
    if (before !== undefined) return before
    const is = test(id, service)
    if (known.size < 100_000) known.set(key, is)
    return is
  }
}

/** Kinds that are about one workload; others are about the mesh, its log and its operators, and in every scope. */
const ofWorkloads: readonly string[] = ['decision', 'refusals', 'opa_decision', 'start', 'suppressed', 'dropped']

/** Whom a record is about, and as which service, where it is about one. */
export function aboutOf(event: AuditEvent): { readonly id: string; readonly service: string | undefined } | undefined {
  if (!ofWorkloads.includes(event.kind)) return undefined
  const { workload, service } = event as unknown as { readonly workload?: Json; readonly service?: Json }
  const id = typeof workload === 'string' ? workload : event.producer
  return { id, service: typeof service === 'string' ? service : undefined }
}

export const memberText = (value: Json | undefined, name: string): string => {
  const found = isObject(value) ? value[name] : undefined
  return typeof found === 'string' ? found : ''
}
