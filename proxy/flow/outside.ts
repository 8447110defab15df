/** Hosts outside of the mesh: only those that are declared, at the port that is, each judged by its own policy. */

import type { Endpoint, OutsideService } from '../../core/snapshot.ts'
import { isHead } from '../exchange.ts'
import { hostOf, portOf } from './authority.ts'
import { rotation } from './reach.ts'
import type { FindRoute, Found } from './route.ts'

/** Time for a request that leaves the mesh, in milliseconds. */
const timeoutMs = 15_000

/** `elsewhere`: where all other hosts lead. Default nowhere. */
export function outsideRoute(list: readonly OutsideService[], elsewhere: FindRoute = () => undefined): FindRoute {
  const byHost = new Map(list.flatMap((one) => one.service.hosts.map((host) => [host, ways(one)])))
  return (head, caller) => {
    const way = isHead(head) ? byHost.get(hostOf(head.authority)) : undefined
    if (!way || !isHead(head)) return elsewhere(head, caller)
    const port = portOf(head.authority)
    if (head.method === 'CONNECT') return port === way.port ? way.tunnel() : undefined
    return port === undefined || port === way.port || port === 80 ? way.request() : undefined
  }
}

function ways({ service, policy }: OutsideService) {
  const next = rotation(service)
  const tunnels = rotation({ ...service, endpoints: service.endpoints.map(withoutTls) })
  const found = (endpoint: Endpoint | undefined): Found | undefined =>
    endpoint && {
      ...{ route: service.name, service: service.name, endpoint, timeoutMs },
      ...(policy && { policy }),
      ...(service.connect && { connect: true }),
    }
  return { port: service.endpoints[0]?.port, request: () => found(next()), tunnel: () => found(tunnels()) }
}

/** In a tunnel TLS, and whatever else is spoken, is the caller's own. */
function withoutTls({ protocol: _, ...endpoint }: Endpoint): Endpoint {
  const { privateAddresses = false } = endpoint.outside ?? {}
  return { ...endpoint, outside: { privateAddresses } }
}
