/** Registration entries as YAML, the API and the command line write them. */

import { z } from 'zod'
import { maxSelectors, revise, selectorShape } from '../../ca/entries.ts'
import { parseTrustDomain, pathOf, type SpiffeId, type TrustDomain, trustDomainOf } from '../../core/spiffe.ts'
import type { RevisedEntry } from '../../core/workload.ts'
import type { Path } from './problem.ts'
import { byText, duration, durationMs, spiffePath } from './words.ts'
import { idOf } from './workloads.ts'

export interface RegistrationEntrySpec {
  readonly identity?: string
  readonly parent?: string
  readonly selectors: readonly string[]
  readonly ttl?: string
  readonly jwtTtl?: string
  readonly dnsNames?: readonly string[]
  readonly federatesWith?: readonly string[]
  readonly hint?: string
}

const minute = 60_000
const hour = 60 * minute
const within = (least: number, most: number, text: string) =>
  duration.refine((span) => durationMs(span) >= least && durationMs(span) <= most, { error: `is not between ${text}` })

export const domain: z.ZodType<string, string> = z
  .string()
  .regex(/^[a-z0-9._-]{1,255}$/, { error: 'is not a trust domain: lower-case letters, digits, ".", "_", "-"' })

export const registrationEntrySpec: z.ZodType<RegistrationEntrySpec> = z
  .strictObject({
    identity: spiffePath.describe('SPIFFE path or whole id. Default /<name>.').exactOptional(),
    parent: spiffePath
      .describe('The agent on whose host it runs, as in /writ/agent/host-1. Default: it comes to control itself.')
      .exactOptional(),
    selectors: z
      .array(
        z
          .string()
          .regex(selectorShape, { error: 'is not a selector such as unix:uid:1000 or github:repository_id:42' }),
      )
      .min(1)
      .max(maxSelectors)
      .describe('What it must prove, all of it.'),
    ttl: within(minute, 24 * hour, '1m and 24h')
      .describe('Life of its certificates, 1m to 24h. Default that of the mesh.')
      .exactOptional(),
    jwtTtl: within(minute, hour, '1m and 1h')
      .describe('Life of its JWT-SVIDs, 1m to 1h: nothing takes one back. Default 5m.')
      .exactOptional(),
    dnsNames: z
      .array(
        z
          .string()
          .regex(/^(?=.{1,253}$)[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)*$/, {
            error: 'is not a lower-case host name',
          }),
      )
      .max(16)
      .describe('DNS names that stand beside the id in its certificates. Default none.')
      .exactOptional(),
    federatesWith: z
      .array(domain)
      .max(64)
      .describe('Trust domains whose bundles it gets beside its own. Default none.')
      .exactOptional(),
    hint: z
      .string()
      .regex(/^[\x21-\x7e]{1,256}$/, { error: 'is not a word of 1 to 256 visible characters' })
      .describe('What tells it from other identities of the same workload.')
      .exactOptional(),
  })
  .describe('Whoever proves all selectors gets this identity.')

/** An entry as YAML, the API and the command line write it. */
export function entryOf(
  name: string,
  spec: RegistrationEntrySpec,
  trustDomain: TrustDomain,
): { readonly entry: RevisedEntry } | { readonly wrong: string; readonly at: Path; readonly cure: string } {
  const id = idOf(spec.identity ?? `/${name}`, trustDomain)
  const parent = spec.parent === undefined ? undefined : idOf(spec.parent, trustDomain)
  const ours = (one: SpiffeId | undefined): boolean => one !== undefined && trustDomainOf(one) === trustDomain
  if (!id || !ours(id)) {
    return { wrong: `is no id of ${trustDomain}`, at: ['identity'], cure: 'name a path, such as /orders' }
  }
  if (pathOf(id).startsWith('/writ/') && !/^\/writ\/agent\/[^/]+$/.test(pathOf(id))) {
    return { wrong: `${id} is of the mesh itself`, at: ['identity'], cure: 'name an id that is not under /writ' }
  }
  if (spec.parent !== undefined && !ours(parent)) {
    return { wrong: `is no id of ${trustDomain}`, at: ['parent'], cure: 'name a path, such as /writ/agent/host-1' }
  }
  const { selectors, ttl, jwtTtl, dnsNames, federatesWith, hint } = spec
  return {
    entry: revise({
      ...{ name, id, selectors: [...new Set(selectors)].sort(byText) },
      ...(parent && { parent }),
      ...(ttl !== undefined && { ttlMs: durationMs(ttl) }),
      ...(jwtTtl !== undefined && { jwtTtlMs: durationMs(jwtTtl) }),
      ...(dnsNames && { dns: dnsNames }),
      ...(federatesWith && { federatesWith: federatesWith.map((one) => parseTrustDomain(one)!) }),
      ...(hint !== undefined && { hint }),
    }),
  }
}
