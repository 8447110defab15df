/** Requests from outside: where a gateway sends them, by the routes of its own hosts alone, and which it sends to TLS first. */

import type { Decision } from '../../core/decision.ts'
import type { HeadFault, RequestHead } from '../../core/facts.ts'
import type { GatewayListener, MeshSnapshot, Route, Service, Site } from '../../core/snapshot.ts'
import { isHead } from '../exchange.ts'
import { hostOf } from './authority.ts'
import type { FindRoute, FindService, Found } from './route.ts'
import { type Fraction, weighted } from './way.ts'
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

/** The site of a gateway that serves a host: of several whose names hold it, the narrowest. */
export type FindSite = (host: string) => Site | undefined

export function sitesOf({ sites }: Pick<GatewayListener, 'sites'>): FindSite {
  const byHost = new Map(sites.map((site) => [site.host, site]))
  return (host) => underHost(byHost, host)
}

/** Where TLS goes that is passed on as it comes, by the name that it asks for. Undefined where none is. */
export function passedOn(
  { sites }: GatewayListener,
  ofService: FindService,
  find: FindSite,
  pick: Fraction,
): ((serverName: string) => (() => Found | undefined) | undefined) | undefined {
  const passed = new Set(sites.flatMap((site) => (site.serves === 'tls' ? site.backends : [])).map((to) => to.service))
  if (!sites.some(({ serves }) => serves === 'tls')) return undefined
  const next = new Map([...passed].map((name) => [name, ofService(name)]))
  return (serverName) => {
    const site = find(serverName)
    if (site?.serves !== 'tls') return undefined
    return () => {
      const service = weighted(site.backends, pick)?.service
      const found = service === undefined ? undefined : next.get(service)?.()
      return found && { ...found, route: site.route }
    }
  }
}

/** Where a host is served over TLS alone: the refusal that says where. Undefined for every other request. */
export function sentToTls(
  { sites }: GatewayListener,
  find: FindSite,
): ((head: RequestHead | HeadFault) => Decision | undefined) | undefined {
  if (!sites.some(({ serves }) => serves === 'redirect')) return undefined
  return (head) => {
    const site = isHead(head) ? find(hostOf(head.authority)) : undefined
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
