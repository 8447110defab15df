/** TLSRoute of the Gateway API: TLS that a gateway passes on without ending it, by the name that it asks for. */

import { z } from 'zod'
import type { Route } from '../../core/snapshot.ts'
import { type GatewaySpec, isIngress } from './gateway.ts'
import { meet } from './hostnames.ts'
import { portKey, takes } from './ingress.ts'
import { type Path, type Placed, type Problem, problemAt } from './problem.ts'
import { type BackendRef, backendRefs, hostnames, type ParentRef, parentRefs, wrongService } from './refs.ts'
import type { KnownService } from './services.ts'
import { name } from './words.ts'

export interface TlsRouteSpec {
  readonly parentRefs: readonly ParentRef[]
  readonly hostnames: readonly string[]
  readonly rules: readonly { readonly name?: string; readonly backendRefs: readonly BackendRef[] }[]
}

export const tlsRouteSpec: z.ZodType<TlsRouteSpec> = z.strictObject({
  parentRefs: parentRefs.describe('Gateways of class writ-ingress.'),
  hostnames: hostnames.describe('Names of the server (SNI).'),
  rules: z.array(z.strictObject({ name: name.exactOptional(), backendRefs })).length(1),
})

/** Where names of a gateway's port lead: one, or all below it that no narrower one holds. */
export interface Passed {
  readonly host: string
  readonly route: string
  readonly backends: Route['backends']
}

export function resolveTlsRoutes(input: {
  readonly tlsRoutes: readonly Placed<TlsRouteSpec>[]
  readonly gateways: readonly Placed<GatewaySpec>[]
  readonly services: ReadonlyMap<string, KnownService>
  /** Names of services that are called by tcp. */
  readonly tcp: ReadonlySet<string>
}): { readonly passed: ReadonlyMap<string, readonly Passed[]>; readonly problems: Problem[] } {
  const problems: Problem[] = []
  const passed = new Map<string, readonly Passed[]>()
  for (const route of input.tlsRoutes) {
    const say = (path: Path, problem: string, cure: string): void =>
      void problems.push(problemAt(route, ['spec', ...path], problem, cure))
    const { backendRefs } = route.spec.rules[0]!
    for (const [index, ref] of backendRefs.entries()) {
      const path: Path = ['rules', 0, 'backendRefs', index]
      if (ref.filters) say([...path, 'filters'], 'change headers, and TLS is passed on as it is', 'take them out')
      const wrong = wrongService(ref, input.services)
      if (wrong) say([...path, wrong.field], wrong.problem, wrong.cure)
      else if (!input.tcp.has(ref.name)) {
        say(
          [...path, 'name'],
          `${ref.name} does not speak tcp, and TLS is passed on as bytes`,
          'write appProtocol: tcp where it is served',
        )
      }
    }
    const backends = backendRefs.map((ref) => ({ service: ref.name, weight: ref.weight ?? 1 }))
    for (const [index, parent] of route.spec.parentRefs.entries()) {
      const gateway = input.gateways.find(
        (one) => parent.kind !== 'Service' && one.name === parent.name && isIngress(one),
      )
      const listeners = (gateway?.spec.listeners ?? []).filter(
        (one) => one.protocol === 'TLS' && (parent.sectionName ?? one.name) === one.name && takes(one, 'TLSRoute'),
      )
      if (listeners.length === 0) {
        const problem = 'is no Gateway of class writ-ingress with a listener of TLS'
        say(['parentRefs', index, 'name'], problem, 'add one with protocol: TLS, or correct the name')
      }
      for (const [at, wanted] of route.spec.hostnames.entries()) {
        const fitting = listeners.flatMap(({ hostname, port }) => {
          const host = meet(hostname, wanted)
          return host === undefined ? [] : [{ host, port }]
        })
        if (listeners.length > 0 && fitting.length === 0) {
          say(['hostnames', at], `no listener of ${parent.name} has ${wanted}`, 'add a listener with this hostname')
        }
        for (const { host, port } of fitting) {
          const key = portKey(parent.name, port)
          const here = passed.get(key) ?? []
          const other = here.find((one) => one.host === host)
          if (!other) passed.set(key, [...here, { host, route: route.name, backends }])
          else if (other.route !== route.name)
            say(['hostnames', at], `${host} is led on by TLSRoute ${other.route} already`, 'keep one of the two')
        }
      }
    }
  }
  return { passed, problems }
}
