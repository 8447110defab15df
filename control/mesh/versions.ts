/** A backend of a weighted route on trial: what it must not exceed, and which trial that is. */

import { z } from 'zod'
import { toHex, utf8 } from '../../core/bytes.ts'
import { canonicalJson, type Json } from '../../core/json.ts'
import type { Sha256 } from '../../core/ports.ts'
import type { Route } from '../../core/snapshot.ts'
import type { RouteCanary } from '../../core/traffic.ts'
import type { Path } from './problem.ts'
import { partsOf } from './route-bindings.ts'
import type { TargetRef } from './target-refs.ts'
import { duration, durationMs, name } from './words.ts'

interface ShareSpec {
  readonly maxRise?: number
  readonly maxPercent?: number
}

export interface RouteCanarySpec {
  readonly backend: string
  readonly version?: string
  readonly errors?: ShareSpec
  readonly latency?: ShareSpec & { readonly threshold: string }
  readonly minRequests?: number
  readonly window?: string
}

const share = {
  maxRise: z
    .number()
    .min(0)
    .max(100)
    .describe('Most above the share of the other backends, in percentage points. Default 5.')
    .exactOptional(),
  maxPercent: z
    .number()
    .min(0)
    .max(100)
    .describe('Most of its requests, whatever the others do. Default any.')
    .exactOptional(),
}

export const routeCanarySpec: z.ZodType<RouteCanarySpec> = z
  .strictObject({
    backend: name.describe('The Service on trial, one of several backendRefs.'),
    version: z
      .string()
      .regex(/^[\x21-\x7e]{1,64}$/, { error: 'is not 1 to 64 visible characters' })
      .describe('Names what is on trial, in records. Another one is another trial. Default nothing.')
      .exactOptional(),
    errors: z
      .strictObject(share)
      .describe('Share of requests without an answer, or with a status of 500 or more.')
      .exactOptional(),
    latency: z
      .strictObject({ threshold: duration.describe('An answer that takes longer is slow.'), ...share })
      .describe('Share of slow answers. Default nobody looks at them.')
      .exactOptional(),
    minRequests: z
      .int()
      .min(1)
      .max(1_000_000)
      .describe('Requests on either side before the two are compared, in each proxy process. Default 100.')
      .exactOptional(),
    window: duration.describe('Time over which they are compared. Default 5m.').exactOptional(),
  })
  .describe('Of an HTTPRoute: a backend that loses its weight to the others where it does worse than they do.')

/** What is wrong with a canary at a target. Undefined where nothing is. */
export function canaryProblems(
  { backend }: RouteCanarySpec,
  target: TargetRef,
  ways: readonly Route[],
):
  | { readonly of: 'target' | 'canary'; readonly path: Path; readonly problem: string; readonly cure: string }
  | undefined {
  const path: Path = ['spec', 'canary', 'backend']
  if (target.kind !== 'HTTPRoute' && target.kind !== 'GRPCRoute') {
    const problem = `only a route has several backends to compare, not a ${target.kind}`
    return { of: 'target', path, problem, cure: 'take canary out, or attach it to the route with the weights' }
  }
  const own = ways.filter((way) => {
    const parts = partsOf(way)
    return parts?.owner === target.name && (target.sectionName === undefined || parts.rule === target.sectionName)
  })
  if (own.length === 0 || own.some((way) => isComparable(backend, way))) return undefined // A route that is not there is told elsewhere.
  const problem = `no rule of ${target.name} has ${backend} among its backendRefs and another one with a weight`
  return { of: 'canary', path, problem, cure: 'give a rule both versions with their weights, or correct the name' }
}

/** Undefined where the route does not have it among others. */
export function canaryOf(spec: RouteCanarySpec, way: Route, sha256: Sha256): RouteCanary | undefined {
  const { backend, version, errors, latency, minRequests, window } = spec
  if (!isComparable(backend, way)) return undefined
  const canary: Omit<RouteCanary, 'revision'> = {
    backend,
    ...(version !== undefined && { version }),
    errors: shareOf(errors),
    ...(latency && { slow: { ...shareOf(latency), aboveMs: durationMs(latency.threshold) } }),
    minRequests: minRequests ?? 100,
    windowMs: window === undefined ? 300_000 : durationMs(window),
  }
  const meant = canonicalJson({ backends: way.backends, canary } as unknown as Json)
  return { ...canary, revision: toHex(sha256(utf8(meant))).slice(0, 16) }
}

const shareOf = ({ maxRise = 5, maxPercent }: ShareSpec = {}): RouteCanary['errors'] => ({
  maxRise,
  ...(maxPercent !== undefined && { max: maxPercent }),
})

const isComparable = (backend: string, { backends }: Pick<Route, 'backends'>): boolean =>
  backends.some(({ service }) => service === backend) &&
  backends.some(({ service, weight }) => service !== backend && weight > 0)
