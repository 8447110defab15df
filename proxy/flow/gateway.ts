/** Requests from outside: where a gateway sends them, by the routes of its own hosts alone, and which it sends to TLS first. */

import type { Decision } from '../../core/decision.ts'
import type { HeadFault, RequestHead } from '../../core/facts.ts'
import type { GatewayListener, MeshSnapshot, Route, Service } from '../../core/snapshot.ts'
import { isHead } from '../exchange.ts'
import { rotation } from './reach.ts'
import { type FindRoute, type Found, type Fraction, hostOf, weighted } from './route.ts'

/** What the routes of a mesh find, over these routes and services. */
export type RoutesOver = (world: {
  readonly services: readonly Service[]
  readonly routes: readonly Route[]
}) => FindRoute

/** A service's own host is for callers of the mesh: from outside, only what a route names is reached. */
export function gatewayRoute(
  { routes, policies = [] }: GatewayListener,
  { services }: Pick<MeshSnapshot, 'services'>,
  over: RoutesOver,
): FindRoute {
  const find = over({ services: services.map((service) => ({ ...service, hosts: [] })), routes })
  const policyOf = new Map(policies.map(({ route, policy }) => [route, policy]))
  return (head, caller) => {
    const found = find(head, caller)
    const policy = found && policyOf.get(found.route)
    return found && { ...found, fromOutside: true, ...(policy && { policy }) }
  }
}

/** Where TLS goes that is passed on as it comes, by the name that it asks for. Undefined where none is. */
export function passedOn(
  { sites }: GatewayListener,
  { services }: Pick<MeshSnapshot, 'services'>,
  pick: Fraction,
): ((serverName: string) => (() => Found | undefined) | undefined) | undefined {
  const byHost = new Map(
    sites.flatMap((site) => {
      if (site.serves !== 'tls') return []
      const next = new Map(
        services
          .filter(({ name }) => site.backends.some(({ service }) => service === name))
          .map((service) => [service.name, rotation(service)]),
      )
      const find = (): Found | undefined => {
        const service = weighted(site.backends, pick)?.service
        const endpoint = service === undefined ? undefined : next.get(service)?.()
        return endpoint && { route: site.route, service: service!, endpoint, timeoutMs: 0 }
      }
      return [[site.host, find] as const]
    }),
  )
  return byHost.size === 0 ? undefined : (serverName) => byHost.get(serverName)
}

/** Where a host is served over TLS alone: the refusal that says where. Undefined for every other request. */
export function sentToTls({
  sites,
}: GatewayListener): ((head: RequestHead | HeadFault) => Decision | undefined) | undefined {
  const ports = new Map(sites.flatMap((site) => (site.serves === 'redirect' ? [[site.host, site.port]] : [])))
  if (ports.size === 0) return undefined
  return (head) => {
    const port = isHead(head) ? ports.get(hostOf(head.authority)) : undefined
    return port === undefined ? undefined : overTls(head as RequestHead, port)
  }
}

/** 308, so that a method and a body are not changed on the way (RFC 9110 section 15.4.9). */
function overTls({ authority, path, query }: RequestHead, port: number): Decision {
  const host = port === 443 ? hostOf(authority) : `${hostOf(authority)}:${port}`
  const target = `${path === '*' ? '/' : path}${query === undefined ? '' : `?${query}`}`
  return {
    verdict: 'deny',
    code: 'tls_required',
    from: { by: 'proxy' },
    reasons: [`${hostOf(authority)} is served over TLS alone`],
    answer: { headers: { location: `https://${host}${target}` } },
  }
}
