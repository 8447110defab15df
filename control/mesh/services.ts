/** Services: the names that workloads call, and the endpoints that serve them. */

import type { Endpoint, Service } from '../../core/snapshot.ts'
import type { TrustDomain } from '../../core/spiffe.ts'
import type { ServiceSpec, WorkloadSpec } from './kinds.ts'
import { type Path, type Placed, type Problem, problemAt } from './problem.ts'
import { byText, isAnyAddress } from './words.ts'
import { identityOf, idOf, serviceOf } from './workloads.ts'

/** A service, and the port that routes call it by. */
export interface KnownService {
  readonly service: Service
  readonly port: number
}

interface Input {
  readonly services: readonly Placed<ServiceSpec>[]
  readonly workloads: readonly Placed<WorkloadSpec>[]
  readonly trustDomain: TrustDomain
}

/** Every service of the mesh: those with a document, and those that a workload of the same name serves. */
export function resolveServices(input: Input): {
  readonly services: Map<string, KnownService>
  readonly problems: Problem[]
} {
  const problems: Problem[] = []
  const services = new Map<string, KnownService>()
  for (const placed of input.services) services.set(placed.name, fromDocument(placed, input, problems))

  for (const workload of input.workloads) {
    const name = serviceOf(workload)
    if (!workload.spec.inbound || services.has(name)) continue
    if (name !== workload.name) {
      const cure = `add a Service named ${name}, or correct the name`
      problems.push(problemAt(workload, ['spec', 'service'], `there is no Service ${name}`, cure))
      continue
    }
    const endpoints = fromWorkloads(name, input, workload, ['spec', 'inbound', 'address'], problems)
    services.set(name, { service: { name, hosts: [name], endpoints }, port: 80 })
  }
  problems.push(...sharedHosts(input.services, services))
  return { services, problems }
}

function fromDocument(placed: Placed<ServiceSpec>, input: Input, problems: Problem[]): KnownService {
  const { name, spec } = placed
  const hosts = [...new Set(spec.hosts ?? [name])].sort(byText)
  const endpoints = spec.endpoints
    ? spec.endpoints.flatMap((_, index) => endpointOf(placed, index, input, problems) ?? [])
    : fromWorkloads(name, input, placed, ['spec'], problems)
  return { service: { name, hosts, endpoints }, port: spec.port ?? 80 }
}

function endpointOf(
  placed: Placed<ServiceSpec>,
  index: number,
  { workloads, trustDomain }: Input,
  problems: Problem[],
): Endpoint | undefined {
  const path: Path = ['spec', 'endpoints', index]
  const given = placed.spec.endpoints![index]!
  if (given.identity !== undefined) {
    const identity = idOf(given.identity, trustDomain)
    if (identity) return { address: given.address!, port: given.port!, identity, ...localityOf(given) }
    problems.push(problemAt(placed, [...path, 'identity'], 'is not a SPIFFE id', 'shorten it'))
    return undefined
  }
  const workload = workloads.find((it) => it.name === given.workload)
  if (!workload) {
    const problem = `there is no Workload ${given.workload}`
    problems.push(problemAt(placed, [...path, 'workload'], problem, 'add it, or correct the name'))
    return undefined
  }
  const address = given.address ?? workload.spec.inbound?.address ?? '127.0.0.1'
  const port = given.port ?? workload.spec.inbound?.port
  if (port === undefined) {
    const problem = `${workload.label} has no inbound listener`
    problems.push(problemAt(placed, [...path, 'workload'], problem, 'add inbound to it, or give address and port here'))
    return undefined
  }
  if (isAnyAddress(address)) {
    problems.push(problemAt(placed, path, `cannot be called at ${address}`, 'give the address that callers reach'))
    return undefined
  }
  return { address, port, identity: identityOf(workload, trustDomain), ...localityOf(given, workload.spec) }
}

/** The first that says where it is. */
function localityOf(...places: readonly { readonly locality?: string }[]): Pick<Endpoint, 'locality'> {
  const said = places.find(({ locality }) => locality !== undefined)?.locality
  return said === undefined ? {} : { locality: said }
}

function fromWorkloads(
  service: string,
  { workloads, trustDomain }: Input,
  blamed: Placed<unknown>,
  path: Path,
  problems: Problem[],
): Endpoint[] {
  const serving = workloads
    .filter((workload) => workload.spec.inbound && serviceOf(workload) === service)
    .sort((a, b) => byText(a.name, b.name))
  if (serving.length === 0) {
    const cure = 'give endpoints, or a Workload with this service and an inbound listener'
    problems.push(problemAt(blamed, path, 'is served by nobody', cure))
  }
  return serving.flatMap((workload) => {
    const { address = '127.0.0.1', port } = workload.spec.inbound!
    if (!isAnyAddress(address))
      return { address, port, identity: identityOf(workload, trustDomain), ...localityOf(workload.spec) }
    const cure = `give endpoints with the address that callers reach in Service/${service}`
    const at: Path = ['spec', 'inbound', 'address']
    problems.push(problemAt(workload, at, `callers cannot reach ${service} at ${address}`, cure))
    return []
  })
}

/** A host is one service's: otherwise the route would hang on the order of names. */
function sharedHosts(
  documents: readonly Placed<ServiceSpec>[],
  services: ReadonlyMap<string, KnownService>,
): Problem[] {
  const problems: Problem[] = []
  const owners = new Map<string, string>()
  for (const [name, { service }] of [...services].sort(([a], [b]) => byText(a, b))) {
    for (const host of service.hosts) {
      const owner = owners.get(host)
      if (owner === undefined) {
        owners.set(host, name)
        continue
      }
      // One of the two has a document: a service without one has its own name for a host.
      const placed = documents.find((it) => it.name === name) ?? documents.find((it) => it.name === owner)
      const other = placed?.name === name ? owner : name
      if (!placed) continue
      const index = placed.spec.hosts?.indexOf(host) ?? -1
      const path: Path = index < 0 ? ['metadata', 'name'] : ['spec', 'hosts', index]
      problems.push(
        problemAt(placed, path, `${host} is a host of Service ${other} too`, 'give each host to one Service'),
      )
    }
  }
  return problems
}
