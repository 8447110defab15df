/** Which protocol an upstream is spoken to in. */

import type { Limits } from '../limits.ts'
import { AttemptsLeg } from './attempts-leg.ts'
import { Http1Leg } from './http1-leg.ts'
import { Http2Leg } from './http2-leg.ts'
import type { Http2Pool } from './http2-pool.ts'
import type { Leg, OpenLeg } from './leg.ts'
import { MirrorLeg, type Mirrors } from './mirror-leg.ts'
import type { Pool } from './pool.ts'
import type { ConnectTcp } from './tcp-upstream.ts'
import { TransformLeg } from './transform-leg.ts'

export interface Pools {
  readonly http1: Pool
  readonly http2: Http2Pool
  readonly connectTcp: ConnectTcp
  readonly mirrors: Mirrors
}

/**
 * An application, and a host outside without TLS, is spoken to in what it declares. Another proxy, and a host outside
 * over TLS, is spoken to in what the caller speaks: HTTP/1.1 costs less, and only HTTP/2 carries what its callers may need.
 * One that does not know HTTP/2 gets HTTP/1.1.
 */
export function openLegs(pools: Omit<Pools, 'connectTcp'>, limits: Limits): OpenLeg {
  const one = openOne(pools, limits)
  const several: OpenLeg = (request, onward, user) =>
    onward.attempts || onward.times ? new AttemptsLeg(request, onward, user, one) : one(request, onward, user)
  const copied: OpenLeg = (request, onward, user) =>
    onward.mirrors ? new MirrorLeg(request, onward, user, several, pools.mirrors, one) : several(request, onward, user)
  return (request, onward, user) =>
    // A tunnel is opened once, and what is in it is not ours.
    request.tunnels
      ? new Http1Leg(request, onward, user, pools.http1, limits)
      : onward.transform
        ? new TransformLeg(request, onward, user, copied, onward.transform)
        : copied(request, onward, user)
}

const openOne =
  ({ http1, http2 }: Pick<Pools, 'http1' | 'http2'>, limits: Limits): OpenLeg =>
  (request, onward, user) => {
    const { identity, protocol, outside } = onward.endpoint
    const overHttp1 = (): Leg => new Http1Leg(request, onward, user, http1, limits)
    const byAlpn = identity !== undefined || outside?.tls !== undefined
    const wanted = byAlpn ? request.protocol === 'HTTP/2' : protocol === 'h2c'
    if (!wanted) return overHttp1()
    // One that is declared has nothing to fall back on.
    if (!byAlpn) return new Http2Leg(request, onward, user, http2, limits, () => user.onFailure('upstream_unreachable'))
    let instead: Leg | undefined
    const first = new Http2Leg(request, onward, user, http2, limits, () => {
      instead = overHttp1()
    })
    return {
      write: (bytes) => (instead ?? first).write(bytes),
      end: (trailers) => (instead ?? first).end(trailers),
      resume: () => (instead ?? first).resume(),
      close: () => (instead ?? first).close(),
    }
  }
