/** What the Mesh document says of keeping the log: where it is published, how long it stays, and what takes it before it goes. */

import { z } from 'zod'
import { isEndpoint, isS3, parseS3Url } from '../../audit/keep/place.ts'
import { type Placed, type Problem, problemAt } from './problem.ts'
import { duration, durationMs } from './words.ts'

export interface S3Spec {
  readonly endpoint?: string
  readonly region?: string
}

export interface PublishSpec {
  readonly to: string
  readonly every?: string
}

export interface RetentionSpec {
  readonly keep: string
  readonly archive?: string
  readonly every?: string
}

export interface KeepingSettings {
  /** Where object stores are; the environment says what is not here. Credentials stand there alone. */
  readonly s3: S3Spec
  /** Default: the log is in its folder alone. Every 10 seconds by default, in milliseconds. */
  readonly publish?: { readonly to: string; readonly everyMs: number }
  /** Default: entries stay. Once a day by default; times in milliseconds. */
  readonly retention?: { readonly keepMs: number; readonly archive?: string; readonly everyMs: number }
}

const bucket = z
  .string()
  .refine((text) => parseS3Url(text) !== undefined, { error: 'is not s3://bucket or s3://bucket/prefix' })

export const s3Spec: z.ZodType<S3Spec> = z
  .strictObject({
    endpoint: z
      .string()
      .max(2048)
      .refine(isEndpoint, { error: 'is neither https://host nor http:// on loopback' })
      .describe('Endpoint of the object store. Default AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, then AWS.')
      .exactOptional(),
    region: z
      .string()
      .regex(/^[a-z0-9-]{1,64}$/, { error: 'is no region' })
      .describe('Default AWS_REGION, AWS_DEFAULT_REGION, then us-east-1.')
      .exactOptional(),
  })
  .describe('Object store of s3:// places in this file. Credentials: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY.')

export const publishSpec: z.ZodType<PublishSpec> = z
  .strictObject({
    to: bucket.describe('s3://bucket/prefix below which the log is published, a folder a shard (c2sp.org/tlog-tiles).'),
    every: duration.describe('Time between two rounds, 1s to 1h. Default 10s.').exactOptional(),
  })
  .describe('Where the log is published beside its folder.')

export const retentionSpec: z.ZodType<RetentionSpec> = z
  .strictObject({
    keep: z
      .string()
      .regex(/^(?:[0-9]{1,5}d|(?:[0-9]{1,5}(?:h|m|s)){1,3})$/, { error: 'is not a time such as 400d or 36h' })
      .describe('Age at which entries go, 1d at least; what a hold covers and all hashes stay.'),
    archive: z
      .string()
      .min(1)
      .max(1024)
      .refine((text) => !/^[a-z0-9+.-]+:\/\//i.test(text) || parseS3Url(text) !== undefined, {
        error: 'is neither a folder nor s3://bucket/prefix',
      })
      .describe('Folder or s3://bucket/prefix that takes what goes, before it goes. Default none: it is gone.')
      .exactOptional(),
    every: duration.describe('Time between two runs, 1h to 168h. Default 24h.').exactOptional(),
  })
  .describe('Entries that go with age, by the auditor itself.')

interface KeepingFields {
  readonly s3?: S3Spec
  readonly publish?: PublishSpec
  readonly retention?: RetentionSpec
}

const second = 1000
const hour = 3_600_000
const day = 24 * hour

export function keepingOf<Spec extends { readonly audit?: KeepingFields }>(
  mesh: Placed<Spec>,
): { readonly keeping: KeepingSettings; readonly problems: readonly Problem[] } {
  const { s3 = {}, publish, retention } = mesh.spec.audit ?? {}
  const problems: Problem[] = []
  const bounded = (path: readonly string[], text: string, ms: number, least: number, most: number, cure: string) => {
    if (ms < least || ms > most)
      problems.push(problemAt(mesh, ['spec', 'audit', ...path], `${text} is not ${cure}`, 'give a time within that'))
    return ms
  }
  const every = (path: string, text: string | undefined, usual: number, least: number, most: number, cure: string) =>
    text === undefined ? usual : bounded([path, 'every'], text, durationMs(text), least, most, cure)

  const publishMs = every('publish', publish?.every, 10 * second, second, hour, 'between 1s and 1h')
  const retentionMs = every('retention', retention?.every, day, hour, 7 * day, 'between 1h and 168h')
  const keep = retention?.keep
  const keepMs =
    keep === undefined ? 0 : bounded(['retention', 'keep'], keep, ageMs(keep), day, 36_500 * day, 'at least 1d')
  if (publish && retention?.archive !== undefined && overlap(publish.to, retention.archive)) {
    const problem = `${retention.archive} and ${publish.to} lie in each other`
    const cure = 'give the archive a prefix of its own: what is published is taken away there with age'
    problems.push(problemAt(mesh, ['spec', 'audit', 'retention', 'archive'], problem, cure))
  }
  return {
    keeping: {
      s3,
      ...(publish && { publish: { to: publish.to, everyMs: publishMs } }),
      ...(retention && {
        retention: {
          ...{ keepMs, everyMs: retentionMs },
          ...(retention.archive !== undefined && { archive: retention.archive }),
        },
      }),
    },
    problems,
  }
}

/** `400d`, or as `durationMs` has it. */
export const ageMs = (text: string): number => (text.endsWith('d') ? Number(text.slice(0, -1)) * day : durationMs(text))

function overlap(a: string, b: string): boolean {
  if (!isS3(a) || !isS3(b)) return false
  const [one, other] = [a, b].map((text) => `${text.replace(/\/$/, '')}/`) as [string, string]
  return one.startsWith(other) || other.startsWith(one)
}
