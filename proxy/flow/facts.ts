/** What is known of a request, put together once. */

import { toHex } from '../../core/bytes.ts'
import type { Authenticated, RequestFacts, RequestHead } from '../../core/facts.ts'
import type { Identified } from '../../core/identity.ts'
import type { RandomBytes } from '../../core/ports.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { type Exchange, fieldOf, isHead } from '../exchange.ts'
import { isBodyFault, type SeenBody } from './body/see.ts'
import { grpcCallOf } from './grpc.ts'
import type { Found } from './route.ts'

export interface FactParts {
  readonly direction: 'inbound' | 'outbound'
  readonly listener: string
  readonly workload: SpiffeId
  readonly random: RandomBytes
}

export function readFacts(
  exchange: Pick<Exchange, 'head' | 'peer' | 'local'>,
  identified: Identified,
  found: Found | undefined,
  atNs: bigint,
  parts: FactParts,
  body?: SeenBody,
  token?: Authenticated,
  traced?: { readonly traceId: string },
): RequestFacts {
  const head = isHead(exchange.head) ? exchange.head : undefined
  const grpc = head && grpcCallOf(head)
  const reached = parts.direction === 'outbound' && found ? found.endpoint : exchange.local
  const facts: RequestFacts = {
    direction: parts.direction,
    workload: parts.workload,
    listener: parts.listener,
    source: sourceOf(exchange.peer, identified),
    destination: destinationOf(reached, found?.service),
    head,
    ...(grpc && { grpc }),
    requestId: requestIdOf(head) ?? toHex(parts.random(16)),
    traceId: traced?.traceId ?? (head ? traceIdOf(fieldOf(head, 'traceparent')) : ''),
    atNs,
  }
  const whole = token?.ok ? { ...facts, token: token.token } : facts
  return body && !isBodyFault(body) ? { ...whole, body } : whole
}

/** Of a connection that is passed as bytes. `requestId`: the one that the proxy of the caller gave it, if any. */
export function connectionFacts(
  { peer, local }: Pick<Exchange, 'peer' | 'local'>,
  identified: Identified,
  found: Found | undefined,
  atNs: bigint,
  parts: FactParts,
  requestId: string | undefined,
): RequestFacts {
  return {
    direction: parts.direction,
    workload: parts.workload,
    listener: parts.listener,
    source: sourceOf(peer, identified),
    destination: destinationOf(parts.direction === 'outbound' && found ? found.endpoint : local, found?.service),
    protocol: 'tcp',
    head: undefined,
    requestId: requestId ?? toHex(parts.random(16)),
    traceId: '',
    atNs,
  }
}

type Source = RequestFacts['source']
type Destination = RequestFacts['destination']

/** The last ones of a peer and of an address: what stays the same over a connection's requests is the same object. */
const sources = new WeakMap<object, Source>()
const destinations = new WeakMap<object, Destination>()

function sourceOf(peer: Exchange['peer'], identified: Identified): Source {
  const known = sources.get(peer)
  if (known?.identified === identified) return known
  const source = { identified, address: peer.address, port: peer.port }
  sources.set(peer, source)
  return source
}

function destinationOf(reached: Exchange['local'], service: string | undefined): Destination {
  const known = destinations.get(reached)
  if (known && known.service === service) return known
  const destination = { service, address: reached.address, port: reached.port }
  destinations.set(reached, destination)
  return destination
}

/** A caller's own id is taken only in a shape that can stand in any log, header and query. */
const requestId = /^[A-Za-z0-9-]{8,64}$/

function requestIdOf(head: RequestHead | undefined): string | undefined {
  const given = head && fieldOf(head, 'x-request-id')
  return given !== undefined && requestId.test(given) ? given : undefined
}

/** W3C Trace Context section 3.2: version ff and an id of zeros are invalid. */
const traceparent = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:$|-)/

const traceIdOf = (field: string | undefined): string =>
  field === undefined ? '' : (traceparent.exec(field)?.[1] ?? '')
