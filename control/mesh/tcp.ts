/** Opaque TCP: which services are reached so, and that nothing of HTTP is said about them. */

import type { Service } from '../../core/snapshot.ts'
import type { HttpRouteSpec } from './gateway.ts'
import type { WorkloadSpec } from './kinds.ts'
import { type Path, type Placed, type Problem, problemAt } from './problem.ts'
import type { KnownService } from './services.ts'
import { type Judged, serviceOf } from './workloads.ts'

interface Input {
  readonly workloads: readonly Placed<WorkloadSpec>[]
  readonly routes: readonly Placed<HttpRouteSpec>[]
  readonly services: ReadonlyMap<string, KnownService>
  readonly policies: ReadonlyMap<string, Judged>
}

const isTcp = (workload: Placed<WorkloadSpec>): boolean => workload.spec.inbound?.app.appProtocol === 'tcp'

/** Services of which a workload speaks tcp, and those that a port of someone's is for. */
export function tcpServices(workloads: readonly Placed<WorkloadSpec>[]): ReadonlySet<string> {
  const called = workloads.flatMap(({ spec }) => (spec.outbound?.tcp ?? []).map(({ service }) => service))
  const detected = detectedServices(workloads)
  return new Set([...workloads.filter(isTcp).map(serviceOf), ...called.filter((name) => !detected.has(name))])
}

/** Services of which nobody has said what they speak: at a port for one of them it is found out. */
export const detectedServices = (workloads: readonly Placed<WorkloadSpec>[]): ReadonlySet<string> =>
  new Set(workloads.filter(({ spec }) => spec.inbound?.app.appProtocol === 'detect').map(serviceOf))

export const asTcp = (service: Service, tcp: ReadonlySet<string>): Service =>
  tcp.has(service.name) ? { ...service, protocol: 'tcp' } : service

export function tcpProblems(input: Input): Problem[] {
  const { workloads, services } = input
  const problems: Problem[] = []
  const tcp = tcpServices(workloads)
  for (const workload of workloads) {
    const seen = new Set<string>()
    for (const [index, { service }] of (workload.spec.outbound?.tcp ?? []).entries()) {
      const path: Path = ['spec', 'outbound', 'tcp', index, 'service']
      const say = (problem: string, cure: string): void => void problems.push(problemAt(workload, path, problem, cure))
      if (!services.has(service)) say(`there is no service ${service}`, 'add it, or correct the name')
      if (seen.has(service)) say(`${service} has a port here already`, 'give each service one port')
      seen.add(service)
    }
    if (!workload.spec.inbound) continue
    if (isTcp(workload)) problems.push(...judgedByHead(workload, input))
    else if (tcp.has(serviceOf(workload))) {
      const problem = `is of ${serviceOf(workload)}, which is called by tcp, and speaks another protocol`
      const cure = 'write appProtocol: tcp, or call the service by HTTP'
      problems.push(problemAt(workload, ['spec', 'inbound', 'app'], problem, cure))
    }
  }
  for (const route of input.routes) {
    for (const [at, rule] of route.spec.rules.entries()) {
      for (const [index, { name }] of (rule.backendRefs ?? []).entries()) {
        if (!tcp.has(name)) continue
        const path: Path = ['spec', 'rules', at, 'backendRefs', index, 'name']
        const cure = 'remove it: callers reach it by outbound.tcp'
        problems.push(problemAt(route, path, `${name} speaks tcp, which no HTTPRoute leads to`, cure))
      }
      for (const [index, filter] of (rule.filters ?? []).entries()) {
        if (filter.type !== 'RequestMirror' || !tcp.has(filter.requestMirror.backendRef.name)) continue
        const path: Path = ['spec', 'rules', at, 'filters', index, 'requestMirror', 'backendRef', 'name']
        const problem = `${filter.requestMirror.backendRef.name} speaks tcp, and requests are mirrored`
        problems.push(problemAt(route, path, problem, 'remove it'))
      }
    }
  }
  return problems
}

/** A connection has no head: a policy that is to see tokens, bodies or routes would wait for what never comes. */
function judgedByHead(workload: Placed<WorkloadSpec>, { policies }: Input): Problem[] {
  const judged = policies.get(workload.name)
  const wants = judged?.policy?.tokens ? 'tokens' : judged?.policy?.bodyBytes ? 'bodies' : undefined
  if (wants === undefined) return []
  const problem = `speaks tcp, and its PolicyBinding takes ${wants}, which only requests have`
  const cure = `bind a rule without ${wants}`
  return [problemAt(workload, ['spec', 'inbound', 'app', 'appProtocol'], problem, cure)]
}
