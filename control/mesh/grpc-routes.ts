/**
 * GRPCRoute of the Gateway API: methods and services are paths of HTTP/2 (PROTOCOL-HTTP2, Requests), so its rules are those
 * of an HTTPRoute, and its precedence too: among matches that fit one call, an exact path is the one with a method.
 */

import { z } from 'zod'
import type { HttpRouteSpec } from './gateway.ts'
import { type Placed, type Problem, problemAt } from './problem.ts'
import { type BackendRef, backendRefs, hostnames, type ParentRef, parentRefs } from './refs.ts'
import { type HttpRouteMatch, headerMatches, isRe2, noRe2 } from './route-match.ts'
import { name } from './words.ts'

export interface GrpcRouteMatch {
  readonly method?: {
    readonly type?: 'Exact' | 'RegularExpression'
    readonly service?: string
    readonly method?: string
  }
  readonly headers?: HttpRouteMatch['headers']
}

export interface GrpcRouteSpec {
  readonly parentRefs: readonly ParentRef[]
  readonly hostnames?: readonly string[]
  readonly rules: readonly {
    readonly name?: string
    readonly matches?: readonly GrpcRouteMatch[]
    readonly backendRefs: readonly BackendRef[]
  }[]
}

/** Gateway API: a name of protobuf, with its package. */
const service = /^(?:[A-Za-z_][A-Za-z0-9_]*\.)*[A-Za-z_][A-Za-z0-9_]*$/
const method = /^[A-Za-z_][A-Za-z0-9_]*$/
const words = z.string().min(1).max(500)

const match = z.strictObject({
  method: z
    .strictObject({
      type: z
        .enum(['Exact', 'RegularExpression'])
        .describe('Default Exact. A regular expression of RE2 fits the whole name.')
        .exactOptional(),
      service: words.describe('With its package. Default any, where the type is RegularExpression.').exactOptional(),
      method: words.describe('Default any.').exactOptional(),
    })
    .superRefine((one, context) => {
      const wrong = (path: string[], message: string): void => context.addIssue({ code: 'custom', path, message })
      if (one.type === 'RegularExpression') {
        if (one.service === undefined && one.method === undefined) wrong([], 'names no service and no method')
        for (const name of ['service', 'method'] as const) {
          if (one[name] !== undefined && !isRe2(one[name])) wrong([name], noRe2)
        }
        return
      }
      if (one.service === undefined) wrong([], 'names no service: only a RegularExpression takes any')
      else if (!service.test(one.service)) wrong(['service'], 'is not a service such as bank.Ledger')
      if (one.method !== undefined && !method.test(one.method)) wrong(['method'], 'is not a method such as Post')
    })
    .exactOptional(),
  headers: headerMatches.exactOptional(),
})

export const grpcRouteSpec: z.ZodType<GrpcRouteSpec> = z.strictObject({
  parentRefs,
  hostnames: hostnames.exactOptional(),
  rules: z
    .array(
      z.strictObject({
        name: name.exactOptional(),
        matches: z.array(match).min(1).max(64).describe('Any one of them. Default: every call.').exactOptional(),
        backendRefs,
      }),
    )
    .min(1)
    .max(16),
})

/** As the routes of HTTP that they are. No time of our own is set: calls bring a deadline, or are streams without one. */
export const asHttpRoutes = (routes: readonly Placed<GrpcRouteSpec>[]): readonly Placed<HttpRouteSpec>[] =>
  routes.map((placed) => ({
    ...placed,
    spec: {
      ...placed.spec,
      rules: placed.spec.rules.map(({ matches, ...rule }) => ({
        ...rule,
        ...(matches && { matches: matches.map(httpMatch) }),
        timeouts: { request: '0s' },
      })),
    },
  }))

function httpMatch({ method, headers }: GrpcRouteMatch): HttpRouteMatch {
  return { ...(method && { path: pathOf(method) }), ...(headers && { headers }) }
}

/** Services and methods have no slash in them. */
function pathOf({ type, service, method }: NonNullable<GrpcRouteMatch['method']>): NonNullable<HttpRouteMatch['path']> {
  if (type === 'RegularExpression') {
    const of = (pattern = '[^/]+'): string => `(?:${pattern})`
    return { type: 'RegularExpression', value: `/${of(service)}/${of(method)}` }
  }
  return method === undefined
    ? { type: 'PathPrefix', value: `/${service}` }
    : { type: 'Exact', value: `/${service}/${method}` }
}

/** One name, or one service, for routes of both kinds would leave open which of them is meant. */
export function grpcRouteProblems(
  grpc: readonly Placed<GrpcRouteSpec>[],
  http: readonly Placed<HttpRouteSpec>[],
): Problem[] {
  const names = new Set(http.map(({ name }) => name))
  const parents = new Map(http.flatMap(({ spec, label }) => spec.parentRefs.map((ref) => [parentKey(ref), label])))
  return grpc.flatMap((route) => [
    ...(names.has(route.name)
      ? [problemAt(route, ['metadata', 'name'], `there is an HTTPRoute ${route.name} too`, 'rename one of them')]
      : []),
    ...route.spec.parentRefs.flatMap((ref, index) => {
      const other = ref.kind === 'Service' ? parents.get(parentKey(ref)) : undefined
      if (other === undefined) return []
      const problem = `${ref.name} has ${other} already`
      return [problemAt(route, ['spec', 'parentRefs', index, 'name'], problem, 'use one kind of route for a Service')]
    }),
  ])
}

const parentKey = ({ kind, name }: ParentRef): string => `${kind ?? 'Gateway'} ${name}`
