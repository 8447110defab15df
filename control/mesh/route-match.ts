/** What an HTTPRoute tells requests by (Gateway API HTTPRouteMatch), and which of two matches goes first. */

import { RE2JS } from 're2js'
import { z } from 'zod'
import type { RouteMatch } from '../../core/snapshot.ts'

type ValueType = 'Exact' | 'RegularExpression'
export interface ValueMatch {
  readonly type?: ValueType
  readonly name: string
  readonly value: string
}

export interface HttpRouteMatch {
  readonly path?: { readonly type?: 'Exact' | 'PathPrefix' | 'RegularExpression'; readonly value?: string }
  readonly method?: string
  readonly headers?: readonly ValueMatch[]
  readonly queryParams?: readonly ValueMatch[]
}

/** What the proxy's normaliser leaves as it is: other forms would be routes that no request ever takes. */
export const pathValue: z.ZodType<string> = z
  .string()
  .max(1024)
  .regex(/^\/(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9A-F]{2})*$/, {
    error: 'is not an absolute path in normal form (RFC 3986 section 6.2.2)',
  })
  .refine((text) => !/\/\/|\/\.{1,2}(?:\/|$)/.test(text), { error: 'has an empty, "." or ".." step' })
  .refine((text) => !/%(?:2D|2E|2F|3[0-9]|4[1-9A-F]|5[0-9A]|5F|6[1-9A-F]|7[0-9A]|7E|5C|00)/.test(text), {
    error: 'escapes a character that paths in normal form never have escaped',
  })

export function isRe2(text: string): boolean {
  try {
    RE2JS.compile(text)
    return true
  } catch {
    return false
  }
}

export const noRe2: string = 'is no regular expression of RE2: it has no look-around and no back references'

const path = z
  .strictObject({
    type: z
      .enum(['Exact', 'PathPrefix', 'RegularExpression'])
      .describe('Default PathPrefix, step by step. A regular expression of RE2 fits the whole path.')
      .exactOptional(),
    value: z.string().min(1).max(1024).describe('Default /.').exactOptional(),
  })
  .superRefine(({ type, value = '/' }, context) => {
    const wrong = type === 'RegularExpression' ? (isRe2(value) ? undefined : noRe2) : wrongPath(value)
    if (wrong !== undefined) context.addIssue({ code: 'custom', path: ['value'], message: wrong })
  })

const wrongPath = (value: string): string | undefined => {
  const read = pathValue.safeParse(value)
  return read.success ? undefined : read.error.issues[0]!.message
}

const values = (name: z.ZodType<string, string>) =>
  z
    .array(
      z
        .strictObject({
          type: z.enum(['Exact', 'RegularExpression']).describe('Default Exact.').exactOptional(),
          name,
          value: z.string().regex(/^[\x20-\x7e]{1,4096}$/, { error: 'is not 1 to 4096 characters of ASCII' }),
        })
        .superRefine(({ type, value }, context) => {
          if (type !== 'RegularExpression' || isRe2(value)) return
          context.addIssue({ code: 'custom', path: ['value'], message: noRe2 })
        }),
    )
    .max(16)

export const headerName: z.ZodType<string, string> = z
  .string()
  .regex(/^(?!__proto__$)[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/, { error: 'is not a header name' })

const parameterName = z
  .string()
  .regex(/^(?!__proto__$)[^\0-\x1f\x7f\ud800-\udfff]{1,256}$/, { error: 'is not 1 to 256 characters of text' })

export const headerMatches: z.ZodType<readonly ValueMatch[]> = values(headerName)

export const routeMatch: z.ZodType<HttpRouteMatch> = z.strictObject({
  path: path.exactOptional(),
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']).exactOptional(),
  headers: headerMatches.exactOptional(),
  queryParams: values(parameterName).describe('The first parameter of that name, its escapes decoded.').exactOptional(),
})

export function matchOf({ path, method, headers, queryParams }: HttpRouteMatch): RouteMatch {
  const ofHeaders = headers?.map((one) => ({ ...one, name: one.name.toLowerCase() }))
  return {
    path: pathOf(path),
    ...(method === undefined ? {} : { method }),
    ...named('headers', ofHeaders, 'Exact'),
    ...named('headerPatterns', ofHeaders, 'RegularExpression'),
    ...named('query', queryParams, 'Exact'),
    ...named('queryPatterns', queryParams, 'RegularExpression'),
  }
}

function pathOf({ type, value = '/' }: NonNullable<HttpRouteMatch['path']> = {}): RouteMatch['path'] {
  if (type === 'Exact') return { type: 'exact', value }
  if (type === 'RegularExpression') return { type: 'regex', value }
  // A prefix matches step by step, so that a slash at its end says nothing (HTTPPathMatch).
  return { type: 'prefix', value: value.replace(/(?<=.)\/$/, '') }
}

function named(member: keyof RouteMatch, all: readonly ValueMatch[] | undefined, type: ValueType): Partial<RouteMatch> {
  const of = (all ?? []).filter((one) => (one.type ?? 'Exact') === type)
  return of.length === 0 ? {} : { [member]: Object.fromEntries(of.map(({ name, value }) => [name, value])) }
}

/**
 * Gateway API HTTPRouteRule: exact path, longest prefix, method, most headers, most query parameters. Where a regular
 * expression stands is ours to say: behind exact paths and before prefixes, the longer one first.
 */
export function byNarrowness(a: RouteMatch, b: RouteMatch): number {
  return (
    ranks[b.path.type] - ranks[a.path.type] ||
    b.path.value.length - a.path.value.length ||
    Number(b.method !== undefined) - Number(a.method !== undefined) ||
    countOf(b.headers, b.headerPatterns) - countOf(a.headers, a.headerPatterns) ||
    countOf(b.query, b.queryPatterns) - countOf(a.query, a.queryPatterns)
  )
}

const ranks: Readonly<Record<RouteMatch['path']['type'], number>> = { exact: 2, regex: 1, prefix: 0 }

const countOf = (...all: readonly (object | undefined)[]): number =>
  all.reduce((sum, one) => sum + Object.keys(one ?? {}).length, 0)

/** What a match says twice, and would hold once. */
export function repeatedIn({
  headers,
  queryParams,
}: HttpRouteMatch): readonly (readonly ['headers' | 'queryParams', number, string])[] {
  return [
    ...repeats(headers?.map(({ name }) => name.toLowerCase())).map(([at, name]) => ['headers', at, name] as const),
    ...repeats(queryParams?.map(({ name }) => name)).map(([at, name]) => ['queryParams', at, name] as const),
  ]
}

const repeats = (names: readonly string[] = []): readonly (readonly [number, string])[] =>
  names.flatMap((name, at) => (names.indexOf(name) < at ? [[at, name] as const] : []))
