/** Requests from outside: where a gateway sends them, by the routes of its own hosts alone, and which it sends to TLS first. */

import type { Decision } from '../../core/decision.ts'
import type { HeadFault, RequestHead } from '../../core/facts.ts'
import type { GatewayListener, MeshSnapshot, Route, Service } from '../../core/snapshot.ts'
import { isHead } from '../exchange.ts'
import { rotation } from './reach.ts'
import { type FindRoute, type Found, type Fraction, hostOf, weighted } from './route.ts'
import { underHost } from './wildcard.ts'

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
  if (!sites.some(({ serves }) => serves === 'tls')) return undefined
  const byHost = new Map<string, (() => Found | undefined) | typeof endedHere>(
    sites.map((site) => {
      if (site.serves !== 'tls') return [site.host, endedHere] as const
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
      return [site.host, find] as const
    }),
  )
  return (serverName) => {
    const find = underHost(byHost, serverName)
    return find === endedHere ? undefined : find
  }
}

/** Of a host whose TLS ends at the gateway, also where one that is passed on has a wildcard over it. */
const endedHere = 'ended here'

/** Where a host is served over TLS alone: the refusal that says where. Undefined for every other request. */
export function sentToTls({
  sites,
}: GatewayListener): ((head: RequestHead | HeadFault) => Decision | undefined) | undefined {
  if (!sites.some(({ serves }) => serves === 'redirect')) return undefined
  const byHost = new Map(sites.map((site) => [site.host, site]))
  return (head) => {
    const site = isHead(head) ? underHost(byHost, hostOf(head.authority)) : undefined
    return site?.serves === 'redirect' ? overTls(head as RequestHead, site.port) : undefined
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
