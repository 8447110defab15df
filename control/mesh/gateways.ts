/** Gateways: further host names that outbound listeners answer for, each at a port that is really listened on. */

import { type GatewaySpec, type HttpRouteSpec, isIngress } from './gateway.ts'
import type { WorkloadSpec } from './kinds.ts'
import { type Path, type Placed, type Problem, problemAt } from './problem.ts'
import type { KnownService } from './services.ts'

export function checkGateways(input: {
  readonly gateways: readonly Placed<GatewaySpec>[]
  readonly routes: readonly Placed<HttpRouteSpec>[]
  readonly workloads: readonly Placed<WorkloadSpec>[]
  readonly services: ReadonlyMap<string, KnownService>
}): Problem[] {
  const problems: Problem[] = []
  const ports = new Set(input.workloads.flatMap((workload) => workload.spec.outbound?.port ?? []))
  const hosts = new Map<string, string>()
  for (const [name, { service }] of input.services) for (const host of service.hosts) hosts.set(host, `Service ${name}`)

  for (const gateway of input.gateways.filter((one) => !isIngress(one))) {
    if (gateway.spec.tls) {
      const problem = 'is for gateways of class writ-ingress'
      problems.push(problemAt(gateway, ['spec', 'tls'], problem, 'remove it, or write writ-ingress'))
    }
    const names = new Set<string>()
    for (const [index, listener] of gateway.spec.listeners.entries()) {
      const path: Path = ['spec', 'listeners', index]
      if (names.has(listener.name)) {
        const problem = `${listener.name} names two listeners`
        problems.push(problemAt(gateway, [...path, 'name'], problem, 'give each its own name'))
      }
      names.add(listener.name)
      if (listener.protocol !== 'HTTP' || listener.tls) {
        const field = listener.tls ? 'tls' : 'protocol'
        const problem = 'is for gateways of class writ-ingress'
        problems.push(problemAt(gateway, [...path, field], problem, 'write HTTP, or the class writ-ingress'))
      }
      if (listener.hostname.startsWith('*.')) {
        const problem = 'a wildcard is for gateways of class writ-ingress'
        problems.push(problemAt(gateway, [...path, 'hostname'], problem, 'write each name, or the class writ-ingress'))
      }
      const owner = hosts.get(listener.hostname)
      if (owner !== undefined) {
        const problem = `${listener.hostname} is a host of ${owner} too`
        problems.push(problemAt(gateway, [...path, 'hostname'], problem, 'give each host one owner'))
      }
      hosts.set(listener.hostname, gateway.label)
      if (!ports.has(listener.port)) {
        const problem = `no outbound listener has port ${listener.port}`
        problems.push(problemAt(gateway, [...path, 'port'], problem, 'use the outbound port of a Workload'))
      }
    }
    const attached = input.routes.some((route) =>
      route.spec.parentRefs.some((parent) => parent.kind !== 'Service' && parent.name === gateway.name),
    )
    if (!attached) {
      const problem = 'has no HTTPRoute: its hosts answer 404'
      problems.push(problemAt(gateway, ['spec'], problem, 'attach a route to it', 'warning'))
    }
  }
  return problems
}
