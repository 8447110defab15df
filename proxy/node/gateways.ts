/** What the listeners of gateways have beside those of the mesh. What they know of a listener outlives a snapshot. */

import type { Certificates, Identify, IdentitySource } from '../../core/ports.ts'
import type { ClientCertificates, GatewayListener, MeshSnapshot, Workload } from '../../core/snapshot.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { type FindSite, gatewayRoute, passedOn, type RoutesOver, sentToTls, sitesOf } from '../flow/gateway.ts'
import type { FindService } from '../flow/route.ts'
import { judgeStrangers, type Strangers } from '../flow/strangers.ts'
import type { Fraction } from '../flow/way.ts'
import type { Parts } from '../serve.ts'
import { gatewayTls } from './gateway-tls.ts'
import type { ProxyEvent } from './listener.ts'
import type { ListenerTls } from './listener-tls.ts'

export interface GatewayWorld {
  readonly source: (workload: SpiffeId) => IdentitySource
  readonly identify: (workload: SpiffeId) => Identify
  readonly identifyClients?: (workload: SpiffeId, clients: NonNullable<ClientCertificates['roots']>) => Identify
  readonly certificates?: Certificates
  readonly onEvent: (event: ProxyEvent) => void
}

export interface Gateways {
  /** Takes what the newest snapshot says of a listener; it is named `workload/listener`. */
  partsOf(
    name: string,
    workload: Workload,
    listener: GatewayListener,
    snapshot: Pick<MeshSnapshot, 'services'>,
    over: RoutesOver,
    ofService: FindService,
    pick: Fraction,
  ): Pick<Parts, 'findRoute' | 'identify' | 'strangers' | 'diverted' | 'passedOn'>
  /** Of a listener whose parts were taken before. Undefined where it is plain. */
  tlsOf(name: string, workload: Workload, listener: GatewayListener): ListenerTls | undefined
  /** Nothing of this name is listened on any more. */
  forget(name: string): void
}

const noCertificates: Certificates = { serving: () => undefined, roots: () => '', subscribe: () => () => {} }

export function makeGateways({ source, identify, identifyClients, certificates, onEvent }: GatewayWorld): Gateways {
  const known = new Map<string, { site: FindSite; readonly strangers: Strangers }>()

  return {
    partsOf(name, { id }, listener, snapshot, over, ofService, pick) {
      const site = sitesOf(listener)
      const one = known.get(name) ?? { site, strangers: judgeStrangers() }
      one.site = site
      known.set(name, one)
      const roots = listener.clients?.roots
      return {
        findRoute: gatewayRoute(listener, snapshot, over),
        identify: (roots && identifyClients?.(id, roots)) ?? identify(id),
        strangers: one.strangers,
        diverted: sentToTls(listener, site),
        passedOn: passedOn(listener, ofService, site, pick),
      }
    },
    tlsOf(name, { id }, { sites, clients, minTls }) {
      if (!isTls({ sites })) return undefined
      return gatewayTls({
        certificates: certificates ?? noCertificates,
        source: source(id),
        site: (host) => known.get(name)?.site(host),
        clients: clients?.mode,
        minTls,
        onMissing: (text) => onEvent({ level: 'error', from: name, text }),
      })
    },
    forget: (name) => void known.delete(name),
  }
}

/** A listener is all TLS or all plain. */
export const isTls = ({ sites }: Pick<GatewayListener, 'sites'>): boolean =>
  sites.some(({ serves }) => serves === 'https' || serves === 'tls')
