/** What a PolicyBinding says of tokens: whose are taken, where they stand, and which of their claims records keep. */

import { z } from 'zod'
import { readTokenKeys } from '../../ca/token/key-set.ts'
import { nameOfPlace } from '../../ca/token/places.ts'
import { tokenAlgorithms } from '../../ca/token/read.ts'
import { utf8 } from '../../core/bytes.ts'
import { messageOf } from '../../core/fault.ts'
import type { PolicyUse } from '../../core/policy.ts'
import type { TokenKeys, TokenPlace, TokenProvider } from '../../core/token.ts'
import { wrongUrl } from '../../engine/bundle-url.ts'
import { type MemberSpec, membersSpec, pathsOf } from './body.ts'
import { type Path, type Placed, type Problem, problemAt } from './problem.ts'
import { duration, durationMs } from './words.ts'

export interface TokensSpec {
  readonly providers: readonly ProviderSpec[]
  readonly forward?: boolean
}

/** One of `jwksUrl`, `jwksFile` and `jwks`. */
export interface ProviderSpec {
  readonly name: string
  readonly issuer: string
  readonly audiences: readonly string[]
  readonly jwksUrl?: string
  readonly jwksFile?: string
  readonly jwks?: { readonly keys: readonly { readonly [member: string]: unknown }[] }
  readonly refresh?: string
  readonly privateAddresses?: boolean
  readonly from?: readonly PlaceSpec[]
  readonly clockSkew?: string
  readonly algorithms?: readonly string[]
  readonly certificateBound?: boolean
}

export type PlaceSpec =
  | { readonly header: string; readonly prefix?: string }
  | { readonly query: string }
  | { readonly cookie: string }

const word = z.string().regex(/^[\x21-\x7e]{1,1024}$/, { error: 'is not a text of 1 to 1024 visible characters' })
const token = (what: string) =>
  z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, { error: `is not the name of a ${what}` })

const place: z.ZodType<PlaceSpec> = z.union(
  [
    z.strictObject({
      header: token('header'),
      prefix: z
        .string()
        .regex(/^[\x21-\x2b\x2d-\x7e]{0,64} ?$/, { error: 'is not a scheme such as "Bearer "' })
        .describe('What stands before the token. Default "Bearer " in Authorization, nothing in others.')
        .exactOptional(),
    }),
    z.strictObject({ query: token('member of the query') }),
    z.strictObject({ cookie: token('cookie') }),
  ],
  { error: 'is neither {header, prefix} nor {query} nor {cookie}' },
)

const within = (text: string, least: number, most: number): boolean =>
  durationMs(text) >= least && durationMs(text) <= most

const provider: z.ZodType<ProviderSpec> = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/, { error: 'is not a name of 1 to 64 letters, digits, ".", "_" and "-"' })
    .describe('What policies and records call it.'),
  issuer: word.describe('The iss that its tokens have.'),
  audiences: z
    .array(word)
    .min(1)
    .max(32)
    .describe('One of these must be in the aud of a token: a token for others is not taken.'),
  jwksUrl: z
    .string()
    .max(2048)
    .superRefine((url, context) => {
      const message = wrongUrl(url)
      if (message) context.addIssue({ code: 'custom', message })
    })
    .describe('Where proxies ask for its keys: https, or http on a loopback address.')
    .exactOptional(),
  jwksFile: z
    .string()
    .regex(/^[^\0-\x1f\x7f\ud800-\udfff]{1,4096}$/, { error: 'is not the path of a file' })
    .describe('Its keys as a JWK set. Relative to the mesh file.')
    .exactOptional(),
  jwks: z
    .strictObject({ keys: z.array(z.record(z.string(), z.unknown())).min(1).max(100) })
    .describe('Its keys themselves.')
    .exactOptional(),
  refresh: duration
    .refine((text) => within(text, 10_000, 86_400_000), { error: 'is not between 10s and 24h' })
    .describe('Age at which keys of a jwksUrl are asked for again, 10s to 24h. Default 5m.')
    .exactOptional(),
  privateAddresses: z
    .boolean()
    .describe('Whether the name in jwksUrl may stand for an address of a private network. Default false.')
    .exactOptional(),
  from: z
    .array(place)
    .min(1)
    .max(8)
    .describe('Where its tokens stand. Default the Authorization header, as Bearer.')
    .exactOptional(),
  clockSkew: duration
    .refine((text) => within(text, 0, 600_000), { error: 'is not between 0s and 10m' })
    .describe("How far the issuer's clock may be from ours, 10m at most. Default 60s.")
    .exactOptional(),
  algorithms: z
    .array(z.enum(tokenAlgorithms as [string, ...string[]]))
    .min(1)
    .describe('Algorithms that may have signed a token. Default all of these; none of them is symmetric.')
    .exactOptional(),
  certificateBound: z
    .boolean()
    .describe("Whether a token must name its caller's own certificate (cnf.x5t#S256, RFC 8705). Default false.")
    .exactOptional(),
})

export const tokensSpec: z.ZodType<TokensSpec> = z
  .strictObject({
    providers: z.array(provider).min(1).max(16),
    forward: z.boolean().describe('Whether the service gets the token too. Default true.').exactOptional(),
  })
  .describe('Lets requests bring a JWT: a bad one is refused, and what a good one says the policy sees.')

export const recordClaimsSpec: z.ZodType<readonly MemberSpec[]> = membersSpec(
  'Claims of a token that records keep: sub, realm_access.roles, or steps such as [realm_access, roles]. Default none.',
)

/** Content of a key set's file as the document names it. Throws where it cannot be read. */
export type ReadKeyFile = (file: string) => Uint8Array

/** `readFile` is left out where nobody serves the snapshot: then files are not looked at. */
export function tokenUse(
  tokens: TokensSpec | undefined,
  record: readonly MemberSpec[] | undefined,
  readFile: ReadKeyFile | undefined,
): Pick<PolicyUse, 'tokens' | 'recordClaims'> {
  if (!tokens) return {}
  const paths = pathsOf(record)
  const providers = tokens.providers.map((spec) => providerOf(spec, readFile))
  return {
    tokens: { providers, forward: tokens.forward ?? true },
    ...(paths.length > 0 && { recordClaims: paths }),
  }
}

function providerOf(spec: ProviderSpec, readFile: ReadKeyFile | undefined): TokenProvider {
  return {
    name: spec.name,
    issuer: spec.issuer,
    audiences: spec.audiences,
    keys: keysOf(spec, readFile).keys,
    from: placesOf(spec),
    clockSkewMs: spec.clockSkew === undefined ? 60_000 : durationMs(spec.clockSkew),
    algorithms: spec.algorithms ?? tokenAlgorithms,
    certificateBound: spec.certificateBound ?? false,
  }
}

function placesOf({ from = [{ header: 'authorization' }] }: ProviderSpec): readonly TokenPlace[] {
  return from.map((place): TokenPlace => {
    if ('query' in place) return { kind: 'query', name: place.query }
    if ('cookie' in place) return { kind: 'cookie', name: place.cookie }
    const name = place.header.toLowerCase()
    return { kind: 'header', name, prefix: place.prefix ?? (name === 'authorization' ? 'Bearer ' : '') }
  })
}

/** Keys that cannot be had are none, and say what is wrong with them. */
function keysOf(
  { jwksUrl, jwksFile, jwks, refresh, privateAddresses }: ProviderSpec,
  readFile: ReadKeyFile | undefined,
): { readonly keys: TokenKeys; readonly wrong?: string } {
  if (jwksUrl !== undefined) {
    const refreshMs = refresh === undefined ? 300_000 : durationMs(refresh)
    return { keys: { kind: 'url', url: jwksUrl, refreshMs, privateAddresses: privateAddresses ?? false } }
  }
  const none: TokenKeys = { kind: 'known', keys: [] }
  if (jwks === undefined && !readFile) return { keys: none }
  try {
    const read = readTokenKeys(jwks === undefined ? readFile!(jwksFile ?? '') : utf8(JSON.stringify(jwks)))
    return read.ok ? { keys: { kind: 'known', keys: read.keys } } : { keys: none, wrong: read.wrong }
  } catch (thrown) {
    return { keys: none, wrong: `cannot be read: ${messageOf(thrown)}` }
  }
}

interface WithTokens {
  readonly tokens?: TokensSpec
  readonly record?: {
    readonly headers?: readonly string[]
    readonly query?: boolean
    readonly claims?: readonly MemberSpec[]
  }
}

export function checkTokens(binding: Placed<WithTokens>, readFile: ReadKeyFile | undefined): Problem[] {
  const { tokens, record } = binding.spec
  if (!tokens) {
    const cure = 'add spec.tokens, or take this out'
    const problem = 'names claims of tokens that nobody takes'
    return record?.claims ? [problemAt(binding, ['spec', 'record', 'claims'], problem, cure)] : []
  }
  const problems: Problem[] = []
  const names = new Set<string>()
  const issuers = new Set<string>()
  for (const [index, spec] of tokens.providers.entries()) {
    const at = (...path: Path): Path => ['spec', 'tokens', 'providers', index, ...path]
    const add = (path: Path, problem: string, cure: string): void => {
      problems.push(problemAt(binding, path, problem, cure))
    }
    if (names.has(spec.name)) add(at('name'), 'is the name of another provider too', 'rename one of them')
    // A token says whose it is by its issuer alone.
    if (issuers.has(spec.issuer)) add(at('issuer'), 'is the issuer of another provider too', 'keep one provider for it')
    names.add(spec.name)
    issuers.add(spec.issuer)
    const sources = (['jwksUrl', 'jwksFile', 'jwks'] as const).filter((name) => spec[name] !== undefined)
    if (sources.length !== 1) add(at(), 'takes one of jwksUrl, jwksFile and jwks', 'say where its keys are')
    for (const name of ['refresh', 'privateAddresses'] as const) {
      if (spec[name] !== undefined && spec.jwksUrl === undefined) add(at(name), 'is of a jwksUrl', 'leave it out')
    }
    const { wrong } = keysOf(spec, readFile)
    if (wrong !== undefined && sources.length === 1) add(at(sources[0]!), wrong, "give the issuer's public keys")
    for (const [i, place] of placesOf(spec).entries()) {
      const problem = placeProblem(place, tokens, record)
      if (problem) add(spec.from ? at('from', i) : at(), problem.problem, problem.cure)
    }
    const places = placesOf(spec).map(nameOfPlace)
    const twice = places.findIndex((name, i) => places.indexOf(name) < i)
    if (twice >= 0) add(at('from', twice), 'is named twice', 'name each place once')
  }
  return problems
}

/** Tokens are as good as their owner: no record keeps one, and what is to be withheld must be. */
function placeProblem(
  place: TokenPlace,
  { forward }: TokensSpec,
  record: WithTokens['record'],
): { readonly problem: string; readonly cure: string } | undefined {
  if (place.kind === 'query') {
    if (record?.query) return { problem: 'is in the query, which records keep', cure: 'take record.query out' }
    return forward === false
      ? { problem: 'is in the query, which goes on as it was judged', cure: 'leave forward out, or use a header' }
      : undefined
  }
  const header = place.kind === 'cookie' ? 'cookie' : place.name
  return record?.headers?.some((name) => name.toLowerCase() === header)
    ? { problem: `is in the header ${header}, which records keep`, cure: `take ${header} out of record.headers` }
    : undefined
}
