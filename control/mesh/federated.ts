/** Trust domains of others, as documents. */

import { z } from 'zod'
import { readBundle } from '../../ca/bundle.ts'
import { fromUtf8 } from '../../core/bytes.ts'
import { messageOf } from '../../core/fault.ts'
import type { FederatedDomain } from '../../core/federation.ts'
import { parseSpiffeId, parseTrustDomain, type TrustDomain, trustDomainOf } from '../../core/spiffe.ts'
import { domain } from './entries.ts'
import { file, pemFile, url } from './platforms.ts'
import { type Placed, type Problem, problemAt } from './problem.ts'
import type { ReadKeyFile } from './tokens.ts'
import { spiffePath } from './words.ts'

export interface FederatedDomainSpec {
  readonly trustDomain: string
  readonly url: string
  readonly profile: 'https_web' | 'https_spiffe'
  readonly endpointId?: string
  readonly bundleFile?: string
  readonly rootsFile?: string
}

export const federatedDomainSpec: z.ZodType<FederatedDomainSpec> = z
  .strictObject({
    trustDomain: domain.describe('The name that its bundle is bound to.'),
    url: url.describe('Its bundle endpoint.'),
    profile: z.enum(['https_web', 'https_spiffe']).describe('How the endpoint proves itself.'),
    endpointId: spiffePath.describe('Of https_spiffe: the whole id that the endpoint must have.').exactOptional(),
    bundleFile: file
      .describe('The bundle to begin with, as it was handed over; https_spiffe needs one. Relative to the mesh file.')
      .exactOptional(),
    rootsFile: file
      .describe("Of https_web: roots as PEM in the place of the machine's own. Relative to the mesh file.")
      .exactOptional(),
  })
  .describe('A trust domain of others whose members this mesh recognises, by its newest bundle.')

export function federatedOf(
  one: Placed<FederatedDomainSpec>,
  own: TrustDomain,
  readFile: ReadKeyFile | undefined,
  problems: Problem[],
): FederatedDomain | undefined {
  const { url, profile, endpointId, bundleFile, rootsFile } = one.spec
  const trustDomain = parseTrustDomain(one.spec.trustDomain)!
  const wrong = (field: string, problem: string, cure: string): undefined => {
    problems.push(problemAt(one, ['spec', field], problem, cure))
  }
  if (trustDomain === own) return wrong('trustDomain', 'is our own', 'its bundle is what we publish ourselves')
  if (!url.startsWith('https://')) return wrong('url', 'is no https URL', 'bundles are fetched over https alone')
  if (profile === 'https_web') {
    if (endpointId !== undefined) return wrong('endpointId', 'is of https_spiffe', 'leave it out')
    const roots = rootsFile !== undefined && readFile ? pemFile(one, rootsFile, readFile, problems) : undefined
    const first = firstBundle(one, trustDomain, bundleFile, readFile, problems)
    return { trustDomain, url, profile: { kind: profile, ...(roots && { roots }) }, ...(first && { first }) }
  }
  const id = endpointId === undefined ? undefined : parseSpiffeId(endpointId)
  if (!id) return wrong('endpointId', 'is no whole SPIFFE id', 'write the id that the endpoint shows')
  if (rootsFile !== undefined) return wrong('rootsFile', 'is of https_web', 'leave it out')
  if (bundleFile === undefined && trustDomainOf(id) === trustDomain) {
    return wrong('bundleFile', 'is missing', 'get the first bundle from its operators, by a way that you trust')
  }
  const first = firstBundle(one, trustDomain, bundleFile, readFile, problems)
  return { trustDomain, url, profile: { kind: profile, endpointId: id }, ...(first && { first }) }
}

function firstBundle(
  one: Placed<FederatedDomainSpec>,
  trustDomain: TrustDomain,
  bundleFile: string | undefined,
  readFile: ReadKeyFile | undefined,
  problems: Problem[],
): FederatedDomain['first'] {
  if (bundleFile === undefined || !readFile) return undefined
  try {
    const read = readBundle(fromUtf8(readFile(bundleFile)), trustDomain)
    if ('bundle' in read) return read.bundle
    problems.push(problemAt(one, ['spec', 'bundleFile'], read.wrong, 'give the bundle as its endpoint publishes it'))
  } catch (thrown) {
    const problem = `cannot be read: ${messageOf(thrown)}`
    problems.push(problemAt(one, ['spec', 'bundleFile'], problem, 'name a file beside the mesh file'))
  }
  return undefined
}
