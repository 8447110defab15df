/** What the filters of a rule come to, and what is wrong with them. */

import {
  type Cors,
  type HeaderChanges,
  isOwnField,
  type Mirror,
  type PathChange,
  type Redirect,
  type RouteFilters,
} from '../../core/filters.ts'
import type { BackendFilter, HeaderModifier } from './backend-filters.ts'
import type { HttpRouteFilter, PathModifier, RouteFilterSpec } from './filters.ts'
import type { HttpRouteRule, HttpRouteSpec } from './gateway.ts'
import { type Path, type Placed, type Problem, problemAt } from './problem.ts'
import { wrongService } from './refs.ts'
import type { KnownService } from './services.ts'
import { durationMs } from './words.ts'

export interface FilterWorld {
  readonly services: ReadonlyMap<string, KnownService>
  readonly routeFilters: readonly Placed<RouteFilterSpec>[]
}

/** Longest time that a route holds a request back, in milliseconds. */
const longestDelayMs = 60_000

/** Undefined where a rule has none. `path`: of the rule. */
export function filtersOf(
  placed: Placed<HttpRouteSpec>,
  path: Path,
  rule: HttpRouteRule,
  world: FilterWorld,
  problems: Problem[],
): RouteFilters | undefined {
  const { filters } = rule
  if (!filters || filters.length === 0) return undefined
  const say = (at: Path, problem: string, cure: string): void =>
    void problems.push(problemAt(placed, [...path, 'filters', ...at], problem, cure))
  let all: RouteFilters = {}
  const seen = new Set<string>()
  for (const [index, filter] of filters.entries()) {
    const { type } = filter
    if (seen.has(type) && type !== 'RequestMirror' && type !== 'ExtensionRef') {
      say([index, 'type'], `${type} is there twice`, 'make one filter of the two')
    }
    seen.add(type)
    const one = oneOf(filter, index, world, say)
    const twice = Object.keys(one).find((name) => name in all && name !== 'mirrors')
    if (type === 'ExtensionRef' && twice) say([index], 'says what another RouteFilter says too', 'name one of them')
    all = { ...all, ...one, ...(one.mirrors && { mirrors: [...(all.mirrors ?? []), ...one.mirrors] }) }
  }
  checkTogether(all, rule, say)
  return all
}

/** What one backend changes besides; undefined where it says nothing. `path`: of its filters. */
export function backendFiltersOf(
  placed: Placed<HttpRouteSpec>,
  path: Path,
  filters: readonly BackendFilter[] | undefined,
  problems: Problem[],
): Pick<RouteFilters, 'request' | 'response'> | undefined {
  if (!filters || filters.length === 0) return undefined
  const say = (at: Path, problem: string, cure: string): void =>
    void problems.push(problemAt(placed, [...path, ...at], problem, cure))
  let all: Pick<RouteFilters, 'request' | 'response'> = {}
  for (const [index, filter] of filters.entries()) {
    const twice = filter.type === 'RequestHeaderModifier' ? all.request : all.response
    if (twice) say([index, 'type'], `${filter.type} is there twice`, 'make one filter of the two')
    all = { ...all, ...headersOf(filter, index, say) }
  }
  return all
}

const headersOf = (filter: BackendFilter, index: number, say: Say): Pick<RouteFilters, 'request' | 'response'> =>
  filter.type === 'RequestHeaderModifier'
    ? { request: changesOf(filter.requestHeaderModifier, [index, 'requestHeaderModifier'], say) }
    : { response: changesOf(filter.responseHeaderModifier, [index, 'responseHeaderModifier'], say) }

type Say = (at: Path, problem: string, cure: string) => void

function oneOf(filter: HttpRouteFilter, index: number, world: FilterWorld, say: Say): RouteFilters {
  switch (filter.type) {
    case 'RequestHeaderModifier':
    case 'ResponseHeaderModifier':
      return headersOf(filter, index, say)
    case 'URLRewrite': {
      const { hostname, path } = filter.urlRewrite
      return { rewrite: { ...(hostname !== undefined && { host: hostname }), ...(path && { path: pathOf(path) }) } }
    }
    case 'RequestRedirect':
      return { redirect: redirectOf(filter.requestRedirect) }
    case 'RequestMirror':
      return { mirrors: mirrorOf(filter.requestMirror, [index, 'requestMirror', 'backendRef'], world, say) }
    case 'CORS':
      return { cors: corsOf(filter.cors) }
    case 'ExtensionRef':
      return extensionOf(filter.extensionRef.name, [index, 'extensionRef', 'name'], world, say)
  }
}

function changesOf({ set, add, remove }: HeaderModifier, at: Path, say: Say): HeaderChanges {
  const seen = new Set<string>()
  const check = (place: Path, name: string): string => {
    const lower = name.toLowerCase()
    if (isOwnField(lower)) {
      say([...at, ...place], `${lower} is written by the proxy alone: framing, connection or identity`, 'take it out')
    }
    if (seen.has(lower)) say([...at, ...place], `${lower} is changed twice`, 'keep one of the two')
    seen.add(lower)
    return lower
  }
  const named = (part: 'set' | 'add', fields: HeaderModifier['set']): Record<string, string> =>
    Object.fromEntries((fields ?? []).map(({ name, value }, i) => [check([part, i, 'name'], name), value]))
  return {
    ...(set && { set: named('set', set) }),
    ...(add && { add: named('add', add) }),
    ...(remove && { remove: remove.map((name, i) => check(['remove', i], name)) }),
  }
}

const pathOf = (path: PathModifier): PathChange =>
  path.type === 'ReplaceFullPath'
    ? { type: 'full', value: path.replaceFullPath }
    : { type: 'prefix', value: path.replacePrefixMatch }

function redirectOf({
  scheme,
  hostname,
  path,
  port,
  statusCode,
}: Extract<HttpRouteFilter, { type: 'RequestRedirect' }>['requestRedirect']): Redirect {
  return {
    ...(scheme && { scheme }),
    ...(hostname !== undefined && { host: hostname }),
    ...(path && { path: pathOf(path) }),
    ...(port !== undefined && { port }),
    status: statusCode ?? 302,
  }
}

function mirrorOf(
  { backendRef, percent, fraction }: Extract<HttpRouteFilter, { type: 'RequestMirror' }>['requestMirror'],
  at: Path,
  { services }: FilterWorld,
  say: Say,
): readonly Mirror[] {
  const wrong = wrongService(backendRef, services)
  if (wrong) say([...at, wrong.field], wrong.problem, wrong.cure)
  const share = fraction ? fraction.numerator / (fraction.denominator ?? 100) : (percent ?? 100) / 100
  if (share > 1)
    say([...at.slice(0, -1), 'fraction'], 'is more than all requests', 'write a numerator that is not larger')
  return [{ service: backendRef.name, share }]
}

const corsOf = (cors: Extract<HttpRouteFilter, { type: 'CORS' }>['cors']): Cors => ({
  origins: cors.allowOrigins,
  methods: cors.allowMethods ?? [],
  headers: (cors.allowHeaders ?? []).map((name) => name.toLowerCase()),
  expose: cors.exposeHeaders ?? [],
  credentials: cors.allowCredentials ?? false,
  maxAgeS: cors.maxAge ?? 5,
})

function extensionOf(name: string, at: Path, { routeFilters }: FilterWorld, say: Say): RouteFilters {
  const spec = routeFilters.find((one) => one.name === name)?.spec
  if (!spec) {
    say(at, `there is no RouteFilter ${name}`, 'add it, or correct the name')
    return {}
  }
  const { directResponse: answer, fault, transform } = spec
  const share = (percent: number | undefined): number => (percent ?? 100) / 100
  return {
    ...(answer && {
      answer: {
        status: answer.status,
        ...(answer.body !== undefined && {
          headers: { 'content-type': answer.contentType ?? 'text/plain; charset=utf-8' },
        }),
        body: answer.body ?? '',
      },
    }),
    ...(fault && {
      inject: {
        ...(fault.delay && { delay: { ms: durationMs(fault.delay.fixed), share: share(fault.delay.percent) } }),
        ...(fault.abort && { abort: abortOf(fault.abort, share) }),
        ...(fault.header && { header: { ...fault.header, name: fault.header.name.toLowerCase() } }),
      },
    }),
    ...(transform && { transform: { maxBytes: 1_048_576, ...transform } }),
  }
}

const abortOf = (
  { status, grpcStatus, percent }: NonNullable<NonNullable<RouteFilterSpec['fault']>['abort']>,
  share: (percent: number | undefined) => number,
) => ({ status, ...(grpcStatus !== undefined && { grpcStatus }), share: share(percent) })

/** What holds between filters, and between them and the rest of the rule. */
function checkTogether(all: RouteFilters, rule: HttpRouteRule, say: Say): void {
  if (all.redirect && all.rewrite) say([], 'rewrite and redirect', 'keep one of the two (HTTPRouteFilter)')
  if (all.redirect && all.answer) say([], 'redirect and answer', 'keep one of the two')
  const prefixes = [all.redirect?.path, all.rewrite?.path].some((path) => path?.type === 'prefix')
  const matches = rule.matches ?? [{}]
  if (prefixes && matches.some(({ path }) => (path?.type ?? 'PathPrefix') !== 'PathPrefix')) {
    say([], 'replace a prefix, and the rule has matches without one', 'match by PathPrefix, or write ReplaceFullPath')
  }
}

/** Of a RouteFilter by itself. */
export function checkRouteFilters(routeFilters: readonly Placed<RouteFilterSpec>[]): Problem[] {
  return routeFilters.flatMap((placed) => {
    const { directResponse, fault, transform } = placed.spec
    const problems: Problem[] = []
    const say = (path: Path, problem: string, cure: string): void =>
      void problems.push(problemAt(placed, ['spec', ...path], problem, cure))
    if (!directResponse && !fault && !transform) say([], 'says nothing', 'add directResponse, fault or transform')
    if (fault && !fault.delay && !fault.abort) say(['fault'], 'injects nothing', 'add delay or abort')
    if (fault?.delay) {
      const ms = durationMs(fault.delay.fixed)
      if (ms === 0 || ms > longestDelayMs) say(['fault', 'delay', 'fixed'], 'is not 1ms to 1m', 'write a time between')
    }
    if (transform && transform.request === undefined && transform.response === undefined) {
      say(['transform'], 'changes nothing', 'add request or response')
    }
    if (directResponse && [204, 304].includes(directResponse.status) && directResponse.body) {
      say(['directResponse', 'body'], `stands nowhere in a ${directResponse.status}`, 'take it out')
    }
    return problems
  })
}
