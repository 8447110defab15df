/** Platforms whose tokens or certificates prove what runs on them. */

import { z } from 'zod'
import { certificatesOf, revocationListsOf } from '../../ca/pem.ts'
import { readTokenKeys } from '../../ca/token/key-set.ts'
import { tokenAlgorithms } from '../../ca/token/read.ts'
import { fromUtf8, utf8 } from '../../core/bytes.ts'
import { messageOf } from '../../core/fault.ts'
import type { PlatformIssuer, PlatformRoots } from '../../core/platform.ts'
import type { TokenKeys } from '../../core/token.ts'
import { wrongUrl } from '../../engine/bundle-url.ts'
import { type Placed, type Problem, problemAt } from './problem.ts'
import type { ReadKeyFile } from './tokens.ts'
import { duration, durationMs } from './words.ts'

export interface PlatformIssuerSpec {
  readonly type?: 'oidc' | 'kubernetes' | 'x509'
  readonly issuer?: string
  readonly audiences?: readonly string[]
  readonly jwksUrl?: string
  readonly jwksFile?: string
  readonly jwks?: { readonly keys: readonly { readonly [member: string]: unknown }[] }
  readonly rootsFile?: string
  readonly crlFile?: string
  readonly privateAddresses?: boolean
  readonly clockSkew?: string
  readonly reuse?: boolean
}

export const file: z.ZodType<string, string> = z
  .string()
  .regex(/^[^\0-\x1f\x7f\ud800-\udfff]{1,4096}$/, { error: 'is not the path of a file' })
const word = z.string().regex(/^[\x21-\x7e]{1,1024}$/, { error: 'is not a text of 1 to 1024 visible characters' })
const minute = 60_000

export const url: z.ZodType<string, string> = z
  .string()
  .max(2048)
  .superRefine((url, context) => {
    const message = wrongUrl(url)
    if (message) context.addIssue({ code: 'custom', message })
  })

export const platformIssuerSpec: z.ZodType<PlatformIssuerSpec> = z
  .strictObject({
    type: z
      .enum(['oidc', 'kubernetes', 'x509'])
      .describe('Tokens of OpenID Connect, of service accounts, or certificates that were there before. Default oidc.')
      .exactOptional(),
    issuer: word.describe('The iss that its tokens have, letter for letter.').exactOptional(),
    audiences: z.array(word).min(1).max(16).describe('One of these must be in aud: name ours alone.').exactOptional(),
    jwksUrl: url.describe('Where its keys are. Default: what its discovery document says.').exactOptional(),
    jwksFile: file.describe('Its keys as a JWK set. Relative to the mesh file.').exactOptional(),
    jwks: z
      .strictObject({ keys: z.array(z.record(z.string(), z.unknown())).min(1).max(100) })
      .describe('Its keys themselves.')
      .exactOptional(),
    rootsFile: file.describe('Of x509: its root certificates as PEM. Relative to the mesh file.').exactOptional(),
    crlFile: file
      .describe('Of x509: revocation lists of its issuers as PEM. An old one refuses all that it is about.')
      .exactOptional(),
    privateAddresses: z
      .boolean()
      .describe('Whether its names may stand for addresses of a private network. Default false.')
      .exactOptional(),
    clockSkew: duration
      .refine((span) => durationMs(span) <= 10 * minute, { error: 'is not between 0s and 10m' })
      .describe('How far its clock may be from ours, 10m at most. Default 60s.')
      .exactOptional(),
    reuse: z
      .boolean()
      .describe('Whether one token may be shown again before its end. Default only for kubernetes.')
      .exactOptional(),
  })
  .describe('A platform whose word is taken for what runs on it. Its name begins each selector of its tokens.')

export function issuerOf(
  one: Placed<PlatformIssuerSpec>,
  readFile: ReadKeyFile | undefined,
  problems: Problem[],
): readonly PlatformIssuer[] {
  const { type = 'oidc', issuer, audiences, jwksUrl, jwksFile, jwks, rootsFile, clockSkew, reuse } = one.spec
  const wrong = (field: string, problem: string, cure: string): readonly [] => {
    problems.push(problemAt(one, ['spec', field], problem, cure))
    return []
  }
  if (issuer === undefined || wrongUrl(issuer) !== undefined) return wrong('issuer', 'is no https URL', 'write its iss')
  if (audiences === undefined) return wrong('audiences', 'is missing', 'name whom its tokens are for: this mesh')
  if (rootsFile !== undefined) return wrong('rootsFile', 'is of x509', 'leave it out')
  if ([jwksUrl, jwksFile, jwks].filter((it) => it !== undefined).length > 1) {
    return wrong('jwksUrl', 'is one of several places for its keys', 'keep one of jwksUrl, jwksFile and jwks')
  }
  const privateAddresses = one.spec.privateAddresses ?? false
  let keys: TokenKeys
  if (jwks || jwksFile !== undefined) {
    if (jwksFile !== undefined && !readFile) return []
    try {
      const read = readTokenKeys(jwks ? utf8(JSON.stringify(jwks)) : readFile!(jwksFile!))
      if (!read.ok) return wrong(jwks ? 'jwks' : 'jwksFile', read.wrong, 'give its public keys')
      keys = { kind: 'known', keys: read.keys }
    } catch (thrown) {
      return wrong('jwksFile', `cannot be read: ${messageOf(thrown)}`, 'name a file beside the mesh file')
    }
  } else {
    // OpenID Connect Discovery section 4: the path is appended to the issuer.
    const url = jwksUrl ?? `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
    keys = { kind: 'url', url, refreshMs: 300_000, privateAddresses }
  }
  const clockSkewMs = clockSkew === undefined ? minute : durationMs(clockSkew)
  const more = { clockSkewMs, algorithms: tokenAlgorithms, reuse: reuse ?? type === 'kubernetes' }
  return [{ name: one.name, issuer, audiences, keys, ...more }]
}

export function rootsOf(
  one: Placed<PlatformIssuerSpec>,
  readFile: ReadKeyFile | undefined,
  problems: Problem[],
): readonly PlatformRoots[] {
  const { rootsFile, crlFile, issuer, audiences, jwksUrl, jwksFile, jwks } = one.spec
  const wrong = (field: string, problem: string, cure: string): readonly [] => {
    problems.push(problemAt(one, ['spec', field], problem, cure))
    return []
  }
  if ([issuer, audiences, jwksUrl, jwksFile, jwks].some((it) => it !== undefined)) {
    return wrong('type', 'of certificates there are no issuer, audiences and keys', 'keep rootsFile alone')
  }
  if (rootsFile === undefined) return wrong('rootsFile', 'is missing', 'name a file with its roots as PEM')
  if (!readFile) return []
  const roots = pemFile(one, rootsFile, readFile, problems)
  const lists = crlFile === undefined ? undefined : pemFile(one, crlFile, readFile, problems, 'crlFile')
  if (!roots || (crlFile !== undefined && !lists)) return []
  return [{ name: one.name, roots, ...(lists && { lists }) }]
}

/** Certificates or revocation lists of a file; what is wrong with it is added to the problems. */
export function pemFile(
  one: Placed<unknown>,
  file: string,
  readFile: ReadKeyFile,
  problems: Problem[],
  field: 'rootsFile' | 'crlFile' = 'rootsFile',
): readonly Uint8Array[] | undefined {
  try {
    const found = (field === 'rootsFile' ? certificatesOf : revocationListsOf)(fromUtf8(readFile(file)))
    if (found.length > 0) return found
    const what = field === 'rootsFile' ? 'certificate' : 'revocation list'
    problems.push(problemAt(one, ['spec', field], `holds no ${what}`, 'give it as PEM'))
  } catch (thrown) {
    const problem = `cannot be read: ${messageOf(thrown)}`
    problems.push(problemAt(one, ['spec', field], problem, 'name a file beside the mesh file'))
  }
  return undefined
}
