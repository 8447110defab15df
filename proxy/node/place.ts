/** What a listener of the snapshot comes to: where it is, what is spoken there, where its bytes go, and whom it asks. */

import type { Identity, IdentityState } from '../../core/identity.ts'
import type { Bind, Listener, MeshSnapshot, Service, Workload } from '../../core/snapshot.ts'
import { trustDomainOf } from '../../core/spiffe.ts'
import { outsideRoute } from '../flow/outside.ts'
import {
  appOf,
  appRoute,
  type FindRoute,
  type FindService,
  type Found,
  foundAppRoute,
  requestsTo,
} from '../flow/route.ts'
import type { Parts } from '../serve.ts'
import { isTls } from './gateways.ts'
import { either, opaque } from './tls.ts'

/** Where connections go that are passed as bytes; undefined where a listener speaks HTTP. */
export function opaqueTarget(listener: Listener, ofService: FindService): (() => Found | undefined) | undefined {
  if (listener.direction === 'outbound') return listener.tcp === undefined ? undefined : ofService(listener.tcp)
  if (listener.direction !== 'inbound' || listener.protocol === undefined) return undefined
  const found = appOf(listener)
  return () => found
}

/** Of the port where requests go out: where else a transparent socket takes connections for, by the address of a service. */
export function capturedAt(
  listener: Listener,
  { services }: Pick<MeshSnapshot, 'services'>,
  ofService: FindService,
  addressesOf: ((services: readonly Service[]) => ReadonlyMap<string, string>) | undefined,
): Parts['captured'] {
  if (!addressesOf || listener.direction !== 'outbound' || listener.tcp !== undefined) return undefined
  const addresses = addressesOf(services)
  const opaque = services.filter(({ protocol }) => protocol === 'tcp')
  const byAddress = new Map(opaque.map(({ name }) => [addresses.get(name), ofService(name)]))
  return (address) => byAddress.get(address)
}

/** Where requests go; `outbound` finds what hosts of the mesh lead to. */
export function routeAt(listener: Listener, ofService: FindService, outbound: FindRoute): FindRoute {
  switch (listener.direction) {
    case 'inbound':
      return listener.protocol === 'detect' ? foundAppRoute(listener) : appRoute(listener)
    case 'outbound':
      if (listener.tcp !== undefined && listener.detect) return requestsTo(ofService(listener.tcp))
      return outsideRoute(listener.outside ?? [], outbound)
    case 'egress':
      return outsideRoute(listener.outside)
    case 'gateway':
      return () => undefined // Its own parts say where.
  }
}

/** Whether bytes are told from HTTP at this listener, or by its callers. */
export const detects = (listener: Listener): boolean =>
  listener.direction === 'inbound'
    ? listener.protocol === 'detect'
    : listener.direction === 'outbound' && listener.detect === true

/** By ALPN, so that neither proxy takes the other's bytes for HTTP. Undefined is HTTP. */
export const spokenBetween = (listener: Listener): readonly string[] | undefined => {
  if (listener.direction !== 'inbound' || listener.protocol === undefined) return undefined
  return listener.protocol === 'tcp' ? opaque : either
}

/** What a listener cannot change while it is open: whom it stands for, which way, where, and what is spoken there. */
export const placeOf = ({ id }: Workload, listener: Listener): string => {
  return [id, listener.direction, placeText(listener.bind), spokenAt(listener)].join(' ')
}

function spokenAt(listener: Listener): string {
  switch (listener.direction) {
    case 'inbound':
      return listener.protocol ?? 'http'
    case 'outbound':
      return listener.tcp === undefined ? 'http' : listener.detect ? 'detect' : 'tcp'
    case 'egress':
      return 'http'
    case 'gateway':
      return isTls(listener) ? `tls ${listener.minTls ?? ''} ${listener.clients?.mode ?? ''}` : 'http'
  }
}

const placeText = (bind: Bind): string => (bind.kind === 'tcp' ? `${bind.address}:${bind.port}` : bind.path)

/** The callers of an outbound listener are its workload: that is what a 0600 socket or a loopback port declares. */
export const declared = ({ svid }: IdentityState): Identity => ({
  id: svid.id,
  trustDomain: trustDomainOf(svid.id),
  proof: 'declared',
  serial: svid.serial,
  notBeforeMs: svid.notBeforeMs,
  notAfterMs: svid.notAfterMs,
})
