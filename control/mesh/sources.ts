/** Which addresses may connect to a listener, and how much of each, as a TrafficPolicy says it. */

import { z } from 'zod'
import { parseRange } from '../../core/address.ts'
import type { Listener, Workload } from '../../core/snapshot.ts'
import type { SourceLimits } from '../../core/traffic.ts'
import { duration, durationMs } from './words.ts'

export interface SourcesSpec {
  readonly allow?: readonly string[]
  readonly deny?: readonly string[]
  readonly prefix?: { readonly ipv4?: number; readonly ipv6?: number }
  readonly maxConnections?: number
  readonly maxHandshakes?: number
  readonly newConnections?: { readonly count: number; readonly per?: string; readonly burst?: number }
}

const range = z.string().refine((text) => parseRange(text) !== undefined, {
  error: 'is no range of addresses such as 10.0.0.0/8 or 2001:db8::/32, with nothing behind its prefix',
})
const some = z.int().min(1).max(1_000_000)

export const sourcesSpec: z.ZodType<SourcesSpec> = z
  .strictObject({
    allow: z.array(range).min(1).max(256).describe('Those alone may connect. Default all may.').exactOptional(),
    deny: z.array(range).min(1).max(256).describe('Those may not, whatever is allowed. Default none.').exactOptional(),
    prefix: z
      .strictObject({
        ipv4: z.int().min(1).max(32).describe('Default 32: each address.').exactOptional(),
        ipv6: z.int().min(1).max(128).describe('Default 64: what one customer has.').exactOptional(),
      })
      .describe('How many first bits of an address make a source.')
      .exactOptional(),
    maxConnections: some.describe('Open connections of one source. Default any number.').exactOptional(),
    maxHandshakes: some
      .describe('Handshakes of TLS of one source that are under way. Default any number.')
      .exactOptional(),
    newConnections: z
      .strictObject({
        count: some,
        per: duration.describe('Default 1s.').exactOptional(),
        burst: some.describe('Most at once. Default count.').exactOptional(),
      })
      .describe('New connections of one source, each of them a handshake where there is TLS. Default any number.')
      .exactOptional(),
  })
  .describe('Who may connect to the listeners, and how often, before a byte of it is read.')

/** A workload's listeners with what each takes of its sources; `of` knows what is attached to a target. */
export function withSources(
  workload: Workload,
  service: string,
  gateway: string | undefined,
  of: (kind: 'Workload' | 'Service' | 'Gateway', name: string) => SourcesSpec | undefined,
): Workload {
  const limitsOf = (spec: SourcesSpec | undefined): { readonly sources?: SourceLimits } =>
    spec ? { sources: sourceLimitsOf(spec) } : {}
  const own = of('Workload', workload.name)
  const listeners = workload.listeners.map((listener): Listener => {
    if (listener.direction === 'outbound') return listener // Its only source is this machine.
    if (listener.direction === 'egress') return { ...listener, ...limitsOf(own) }
    if (listener.direction === 'inbound') return { ...listener, ...limitsOf(own ?? of('Service', service)) }
    return { ...listener, ...limitsOf(gateway === undefined ? undefined : of('Gateway', gateway)) }
  })
  return { ...workload, listeners }
}

export function sourceLimitsOf(spec: SourcesSpec): SourceLimits {
  const { allow, deny, prefix, maxConnections, maxHandshakes, newConnections: fresh } = spec
  const perMs = fresh?.per === undefined ? 1000 : Math.max(1, durationMs(fresh.per))
  return {
    ...(allow && { allow }),
    ...(deny && { deny }),
    prefix: { ipv4: prefix?.ipv4 ?? 32, ipv6: prefix?.ipv6 ?? 64 },
    ...(maxConnections !== undefined && { connections: maxConnections }),
    ...(maxHandshakes !== undefined && { handshakes: maxHandshakes }),
    ...(fresh && { rate: { perSecond: (fresh.count * 1000) / perMs, burst: fresh.burst ?? fresh.count } }),
  }
}
