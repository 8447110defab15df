/** Policy sources: bundles that control asks a bundle server for, where they are not in its policies folder. */

import { z } from 'zod'
import { wrongUrl } from '../../engine/bundle-url.ts'
import { parseReference } from '../../engine/oci.ts'
import { type Polling, pollingDefaults } from '../../engine/poll.ts'
import { type SignatureAlgorithm, signatureAlgorithms } from '../../engine/verification.ts'
import type { PolicyBindingSpec } from './kinds.ts'
import { type Placed, type Problem, problemAt } from './problem.ts'
import { byText, duration, durationMs } from './words.ts'

export interface PolicySourceSpec {
  readonly type?: 'http' | 'oci'
  readonly url: string
  readonly resource?: string
  readonly polling?: { readonly min?: string; readonly max?: string; readonly wait?: string }
  readonly tokenFile?: string
  readonly verification?: {
    readonly keyFile?: string
    readonly keyId?: string
    readonly scope?: string
    readonly algorithm?: SignatureAlgorithm
    readonly keyless?: Keyless
  }
}

/** One of `jwksFile` and `jwks`. */
export interface Keyless {
  readonly issuer: string
  readonly subject: string
  readonly jwksFile?: string
  readonly jwks?: string
}

/** What control opens. Files are as the document names them: relative to the mesh file. */
export interface PolicySource
  extends Pick<PolicySourceSpec, 'type' | 'url' | 'resource' | 'tokenFile' | 'verification'> {
  /** Name of the bundle. */
  readonly name: string
  readonly polling: Polling
  /** A binding lets its policy call `http.send`. Default none does, and such a bundle is not taken. */
  readonly asksHttp?: true
}

const file = z.string().regex(/^[^\0-\x1f\x7f\ud800-\udfff]{1,4096}$/, { error: 'is not the path of a file' })
const word = z.string().regex(/^[\x21-\x7e]{1,256}$/, { error: 'is not a word of 1 to 256 visible characters' })

const url = z
  .string()
  .max(2048)
  .superRefine((url, context) => {
    const message = wrongUrl(url)
    if (message) context.addIssue({ code: 'custom', message })
  })

const keyless: z.ZodType<Keyless> = z
  .strictObject({
    issuer: word.describe('The iss that identity tokens of the CI have.'),
    subject: z
      .string()
      .regex(/^[\x20-\x7e]{1,1024}$/, { error: 'is no text of 1 to 1024 printable characters' })
      .describe('The sub that they have; * stands for anything but / and :.'),
    jwksFile: file.describe("The issuer's keys as a JWK set. Relative to the mesh file.").exactOptional(),
    jwks: url.describe("URL of the issuer's keys, asked for when they are needed.").exactOptional(),
  })
  .describe('With it a bundle is signed by a key that an identity token vouches for, instead of a key that is known.')

export const policySourceSpec: z.ZodType<PolicySourceSpec> = z
  .strictObject({
    type: z
      .enum(['http', 'oci'])
      .describe('What the URL is of: a server of OPA\u2019s bundle API, or an OCI registry. Default http.')
      .exactOptional(),
    url: url.describe('URL of the bundle server or registry: https, or http on a loopback address.'),
    resource: z
      .string()
      .regex(/^[\x21-\x22\x24-\x7e]{1,1024}$/, { error: 'is not a path below the URL' })
      .describe(
        'Path of the bundle below the URL. Default bundles/<name>; of a registry the repository with tag or digest, by default <name>:latest.',
      )
      .exactOptional(),
    polling: z
      .strictObject({
        min: duration.describe('Shortest time between requests, 1s or more. Default 60s.').exactOptional(),
        max: duration.describe('Longest time between requests, a day or less. Default 120s.').exactOptional(),
        wait: duration
          .describe('How long a server that can is asked to wait for news, 4m or less; 0s is never. Default 60s.')
          .exactOptional(),
      })
      .exactOptional(),
    tokenFile: file
      .describe(
        'File with a bearer token, or user:password for a registry, read for each request. Relative to the mesh file.',
      )
      .exactOptional(),
    verification: z
      .strictObject({
        keyFile: file
          .describe('Public key or certificate as PEM; for HS256 to HS512 the secret. Relative to the mesh file.')
          .exactOptional(),
        keyId: word.describe('Id of that key. Default: it answers for every id that a bundle names.').exactOptional(),
        scope: z
          .string()
          .max(256)
          .describe('Scope that the signature must have. Default: it has none.')
          .exactOptional(),
        algorithm: z
          .enum(signatureAlgorithms)
          .describe("The only one that is taken. Default that of the key's curve, or RS256.")
          .exactOptional(),
        keyless: keyless.exactOptional(),
      })
      .describe('With it a bundle is signed by this key or by this name, or not taken.')
      .exactOptional(),
  })
  .describe(
    'A bundle from a server that speaks OPA\u2019s bundle service API, or from an OCI registry, named like the bundle.',
  )

const day = 24 * 60 * 60_000

export function policySourcesOf(
  found: readonly Placed<PolicySourceSpec>[],
  bindings: readonly Placed<PolicyBindingSpec>[],
): { readonly policySources: readonly PolicySource[]; readonly problems: Problem[] } {
  const problems = found.flatMap((placed) => problemsOf(placed, bindings))
  const policySources = found.map(({ name, spec }): PolicySource => {
    const { polling: _, ...given } = spec
    const asks = bindings.some((binding) => binding.spec.bundle === name && binding.spec.http !== undefined)
    return { name, ...given, polling: pollingOf(spec), ...(asks ? { asksHttp: true } : {}) }
  })
  return { policySources: policySources.toSorted((a, b) => byText(a.name, b.name)), problems }
}

function pollingOf({ polling = {} }: PolicySourceSpec): Polling {
  const min = polling.min === undefined ? undefined : durationMs(polling.min)
  const max = polling.max === undefined ? undefined : durationMs(polling.max)
  return {
    // Whoever gives one of the two means it: the other one follows.
    minMs: min ?? Math.min(pollingDefaults.minMs, max ?? pollingDefaults.minMs),
    maxMs: max ?? Math.max(pollingDefaults.maxMs, min ?? pollingDefaults.maxMs),
    waitS: polling.wait === undefined ? pollingDefaults.waitS : Math.ceil(durationMs(polling.wait) / 1000),
  }
}

function problemsOf(source: Placed<PolicySourceSpec>, bindings: readonly Placed<PolicyBindingSpec>[]): Problem[] {
  const { minMs, maxMs, waitS } = pollingOf(source.spec)
  const problems: Problem[] = []
  const wrong = (field: string, problem: string, cure: string): void => {
    problems.push(problemAt(source, ['spec', 'polling', field], problem, cure))
  }
  if (minMs < 1000) wrong('min', 'is less than a second', 'ask less often')
  if (maxMs > day) wrong('max', 'is more than a day', 'ask at least once a day')
  if (minMs > maxMs) wrong('max', 'is less than min', 'make it longer')
  if (waitS > 240) wrong('wait', 'is more than 4m', 'wait less long')
  if (source.spec.type === 'oci' && !parseReference(source.spec.resource ?? `${source.name}:latest`)) {
    const problem = 'is no repository with a tag or a digest'
    problems.push(problemAt(source, ['spec', 'resource'], problem, 'write it like org/bank:1.2'))
  }
  const { verification } = source.spec
  const at = (...path: readonly string[]): readonly string[] => ['spec', 'verification', ...path]
  if (verification && (verification.keyFile === undefined) === (verification.keyless === undefined)) {
    problems.push(problemAt(source, at(), 'takes one of keyFile and keyless', 'say whose signature is taken'))
  }
  const { keyless } = verification ?? {}
  if (keyless && (verification?.keyId !== undefined || verification?.algorithm !== undefined)) {
    problems.push(problemAt(source, at(), 'keyId and algorithm are of a keyFile', 'leave them out'))
  }
  if (keyless && (keyless.jwksFile === undefined) === (keyless.jwks === undefined)) {
    problems.push(problemAt(source, at('keyless'), 'takes one of jwksFile and jwks', "say where the issuer's keys are"))
  }
  if (verification === undefined) {
    const problem = 'takes bundles that nobody signed: whoever holds the server makes the policy'
    problems.push(problemAt(source, ['spec'], problem, 'give verification', 'warning'))
  }
  if (!bindings.some(({ spec }) => [spec, spec.shadow, spec.canary].some((it) => it?.bundle === source.name))) {
    const problem = `no PolicyBinding names the bundle ${source.name}`
    problems.push(problemAt(source, ['metadata', 'name'], problem, 'bind it, or correct the name', 'warning'))
  }
  return problems
}
