/** Policy data: values that a policy reads and that are refreshed apart from its bundle, as roles or price lists are. */

import { z } from 'zod'
import type { PolicyDataUse, PolicyDataVersion } from '../../core/policy.ts'
import type { MeshSnapshot } from '../../core/snapshot.ts'
import { wrongUrl } from '../../engine/bundle-url.ts'
import type { PolicyBindingSpec } from './kinds.ts'
import { type Placed, type Problem, problemAt } from './problem.ts'
import { byText, duration, durationMs } from './words.ts'

export interface PolicyDataSpec {
  readonly bundle: string
  readonly path: string
  readonly file?: string
  readonly url?: string
  readonly tokenFile?: string
  readonly refresh?: string
  readonly maxAge?: string
  readonly maxBytes?: number
}

/** What control fetches. Files are as the document names them: relative to the mesh file. */
export interface PolicyData extends Pick<PolicyDataSpec, 'bundle' | 'path' | 'tokenFile'> {
  readonly name: string
  readonly from: { readonly file: string } | { readonly url: string }
  /** Time between two looks, in milliseconds. Default 30 s. */
  readonly refreshMs: number
  /** Age after which decisions are faults, in milliseconds. Default none. */
  readonly maxAgeMs?: number
  /** Longest document, in bytes. Default 8 MiB. */
  readonly maxBytes: number
}

const file = z.string().regex(/^[^\0-\x1f\x7f\ud800-\udfff]{1,4096}$/, { error: 'is not the path of a file' })

export const policyDataSpec: z.ZodType<PolicyDataSpec> = z
  .strictObject({
    bundle: z
      .string()
      .regex(/^[A-Za-z0-9._-]{1,128}$/, { error: 'is not the name of a bundle' })
      .describe('Name of the policy bundle that reads it.'),
    path: z
      .string()
      .max(512)
      .regex(/^[A-Za-z0-9_-]+(?:\/[A-Za-z0-9_-]+)*$/, { error: 'is not a place below data such as bank/roles' })
      .describe('Place below data where the policy finds it: bank/roles is data.bank.roles.'),
    file: file
      .describe('JSON, or YAML where its name ends in .yaml or .yml. Relative to the mesh file.')
      .exactOptional(),
    url: z
      .string()
      .max(2048)
      .superRefine((url, context) => {
        const message = url.includes('#') ? 'has a fragment' : wrongUrl(url.split('?')[0]!)
        if (message) context.addIssue({ code: 'custom', message })
      })
      .describe('Instead of a file: https, or http on a loopback address.')
      .exactOptional(),
    tokenFile: file
      .describe('File with a bearer token for the URL, read for each request. Relative to the mesh file.')
      .exactOptional(),
    refresh: duration.describe('Time between two looks, 1s to 24h. Default 30s.').exactOptional(),
    maxAge: duration
      .describe('Age after which nobody passes (policy_data_stale), two refreshes or more. Default none.')
      .exactOptional(),
    maxBytes: z
      .int()
      .min(2)
      .max(64 * 1024 ** 2)
      .describe('Longest document, in bytes. Default 8 MiB.')
      .exactOptional(),
  })
  .refine((spec) => (spec.file === undefined) !== (spec.url === undefined), { error: 'needs either a file or a url' })
  .refine((spec) => spec.tokenFile === undefined || spec.url !== undefined, {
    error: 'has a tokenFile, which a file does not take',
  })
  .describe('An object that a policy reads as data, refreshed apart from its bundle.')

const day = 24 * 60 * 60_000

export function policyDataOf(
  found: readonly Placed<PolicyDataSpec>[],
  bindings: readonly Placed<PolicyBindingSpec>[],
): { readonly policyData: readonly PolicyData[]; readonly problems: Problem[] } {
  const problems = found.flatMap((placed, i) => [
    ...problemsOf(placed, bindings),
    ...overlapOf(placed, found.slice(0, i)),
  ])
  return { policyData: found.map(settingsOf).toSorted((a, b) => byText(a.name, b.name)), problems }
}

function settingsOf({ name, spec }: Placed<PolicyDataSpec>): PolicyData {
  const { bundle, path, tokenFile, maxAge } = spec
  return {
    name,
    bundle,
    path,
    from: spec.url === undefined ? { file: spec.file ?? '' } : { url: spec.url },
    ...(tokenFile === undefined ? {} : { tokenFile }),
    refreshMs: refreshOf(spec),
    ...(maxAge === undefined ? {} : { maxAgeMs: durationMs(maxAge) }),
    maxBytes: spec.maxBytes ?? 8 * 1024 ** 2,
  }
}

const refreshOf = ({ refresh }: PolicyDataSpec): number => (refresh === undefined ? 30_000 : durationMs(refresh))

function problemsOf(placed: Placed<PolicyDataSpec>, bindings: readonly Placed<PolicyBindingSpec>[]): Problem[] {
  const { bundle, maxAge } = placed.spec
  const refreshMs = refreshOf(placed.spec)
  const problems: Problem[] = []
  if (refreshMs < 1000 || refreshMs > day) {
    problems.push(problemAt(placed, ['spec', 'refresh'], 'is not between 1s and 24h', 'change it'))
  }
  if (maxAge !== undefined && durationMs(maxAge) < 2 * refreshMs) {
    const problem = `is less than two refreshes of ${refreshMs / 1000}s: it would be over before the next look`
    problems.push(problemAt(placed, ['spec', 'maxAge'], problem, 'make it longer, or refresh more often'))
  }
  if (!bindings.some(({ spec }) => spec.bundle === bundle)) {
    const problem = `no PolicyBinding names the bundle ${bundle}`
    problems.push(problemAt(placed, ['spec', 'bundle'], problem, 'bind it, or correct the name', 'warning'))
  }
  return problems
}

function overlapOf(placed: Placed<PolicyDataSpec>, before: readonly Placed<PolicyDataSpec>[]): Problem[] {
  const { bundle, path } = placed.spec
  const other = before.find(({ spec }) => spec.bundle === bundle && overlaps(spec.path, path))
  if (!other) return []
  const problem = `${path} overlaps with ${other.spec.path} of ${other.label}`
  return [problemAt(placed, ['spec', 'path'], problem, 'give each its own place')]
}

/** Whether one of two places is the other, or lies below it. */
const overlaps = (a: string, b: string): boolean => `${a}/`.startsWith(`${b}/`) || `${b}/`.startsWith(`${a}/`)

/** What of it proxies run: of bundles that are bound, each with its newest version where there is one. */
export function dataUsesOf(
  policyData: readonly PolicyData[],
  versions: readonly PolicyDataVersion[],
  bound: ReadonlySet<string>,
): Pick<MeshSnapshot, 'data'> {
  const data = policyData
    .filter(({ bundle }) => bound.has(bundle))
    .map(({ name, bundle, path, maxAgeMs }): PolicyDataUse => {
      const version = versions.find((one) => one.name === name)
      return {
        name,
        bundle,
        path,
        ...(maxAgeMs === undefined ? {} : { maxAgeMs }),
        ...(version ? { version: { revision: version.revision, sha256: version.sha256 } } : {}),
      }
    })
  return data.length > 0 ? { data } : {}
}
