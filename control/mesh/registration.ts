/** Who gets which identity without being a Workload: registration entries, the platforms they trust, federated domains. */

import { maxEntries } from '../../ca/entries.ts'
import type { FederatedDomain } from '../../core/federation.ts'
import type { PlatformIssuer, PlatformRoots } from '../../core/platform.ts'
import type { TrustDomain } from '../../core/spiffe.ts'
import type { RevisedEntry } from '../../core/workload.ts'
import { entryOf, type RegistrationEntrySpec } from './entries.ts'
import { type FederatedDomainSpec, federatedOf } from './federated.ts'
import { issuerOf, type PlatformIssuerSpec, rootsOf } from './platforms.ts'
import { type Placed, type Problem, problemAt } from './problem.ts'
import type { ReadKeyFile } from './tokens.ts'
import { byText } from './words.ts'

export interface IdentitySettings {
  readonly entries: readonly RevisedEntry[]
  readonly issuers: readonly PlatformIssuer[]
  readonly roots: readonly PlatformRoots[]
  readonly federation: readonly FederatedDomain[]
}

export interface IdentityDocuments {
  readonly entries: readonly Placed<RegistrationEntrySpec>[]
  readonly issuers: readonly Placed<PlatformIssuerSpec>[]
  readonly federation: readonly Placed<FederatedDomainSpec>[]
}

/** `readFile` is left out where nobody serves them: then files are not looked at. */
export function identityOfMesh(
  { entries, issuers, federation }: IdentityDocuments,
  trustDomain: TrustDomain,
  readFile: ReadKeyFile | undefined,
): { readonly identity: IdentitySettings; readonly problems: readonly Problem[] } {
  const problems: Problem[] = []
  const federated = federation.flatMap((one) => federatedOf(one, trustDomain, readFile, problems) ?? [])
  const known = new Set(federated.map((one) => one.trustDomain as string))
  const registered = entries.flatMap((one) => {
    const entry = entryOf(one.name, one.spec, trustDomain)
    if ('wrong' in entry) {
      problems.push(problemAt(one, ['spec', ...entry.at], entry.wrong, entry.cure))
      return []
    }
    for (const [i, name] of (one.spec.federatesWith ?? []).entries()) {
      if (known.has(name)) continue
      const cure = 'add a FederatedDomain with this trustDomain'
      problems.push(problemAt(one, ['spec', 'federatesWith', i], `no bundle of ${name} is had`, cure, 'warning'))
    }
    return [entry.entry]
  })
  if (entries.length > maxEntries) {
    problems.push(problemAt(entries.at(-1)!, ['kind'], `there are more than ${maxEntries} entries`, 'split the mesh'))
  }
  const roots: PlatformRoots[] = []
  const tokens: PlatformIssuer[] = []
  for (const one of issuers) {
    if (one.spec.type === 'x509') roots.push(...rootsOf(one, readFile, problems))
    else tokens.push(...issuerOf(one, readFile, problems))
  }
  const twice = tokens.find(({ issuer }, i) => tokens.findIndex((one) => one.issuer === issuer) < i)
  if (twice) {
    const at = issuers.find(({ name }) => name === twice.name)!
    problems.push(problemAt(at, ['spec', 'issuer'], 'is the issuer of another document too', 'keep one of them'))
  }
  const identity = {
    entries: registered.toSorted((a, b) => byText(a.name, b.name)),
    ...{ issuers: tokens, roots, federation: federated },
  }
  return { identity, problems }
}
