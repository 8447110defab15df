/** What the Mesh document says of findings, and of who may read the audit. */

import { z } from 'zod'
import { type FindingSettings, findingDefaults, type MuteRule } from '../../audit/findings/settings.ts'
import type { FindingType } from '../../core/record.ts'
import type { KafkaPlace, StreamPlace } from '../../core/snapshot.ts'
import { protectedUrl } from '../../core/url.ts'
import { topicName } from './kafka.ts'
import { type Placed, type Problem, problemAt } from './problem.ts'
import { bundleName, duration, durationMs, entrypoint } from './words.ts'

export interface FindingsSpec {
  readonly learning?: string
  readonly minDenials?: number
  readonly spikeFactor?: number
  readonly minRequests?: number
  readonly mixDistance?: number
  readonly unused?: string
  readonly clockSkew?: string
  readonly maxPerHour?: number
  readonly mute?: readonly MuteRule[]
  readonly webhook?: WebhookSpec
  readonly topic?: string
}

export interface WebhookSpec {
  readonly url: string
  readonly secretEnv: string
}

export interface AccessSpec {
  readonly bundle: string
  readonly entrypoint: string
}

export interface FindingsPlace {
  readonly settings: FindingSettings
  /** Default: findings are in the log and nowhere else. */
  readonly webhook?: WebhookSpec
  /** Where they are published, on the brokers that records travel over. Default nowhere. */
  readonly topic?: KafkaPlace
}

const types: readonly [FindingType, ...FindingType[]] = [
  ...(['first_seen', 'denial_spike', 'mix_moved', 'unused_grant', 'allow_unidentified'] as const),
  ...(['gap', 'spool_lost', 'unmatched', 'anomaly', 'clock_skew', 'suppressed'] as const),
]

const url = z
  .string()
  .max(2048)
  .refine((text) => protectedUrl(text) !== undefined, { error: 'is neither an https URL nor an http URL on loopback' })

const text = z.string().min(1).max(2048)

export const findingsSpec: z.ZodType<FindingsSpec> = z
  .strictObject({
    learning: duration
      .describe('Time from the first entry in which what is new is not told. Default 168h.')
      .exactOptional(),
    minDenials: z.int().min(1).describe('Denials an hour below which there is no spike. Default 20.').exactOptional(),
    spikeFactor: z
      .number()
      .min(1)
      .max(1000)
      .describe('Deviations above the median of a spike. Default 6.')
      .exactOptional(),
    minRequests: z
      .int()
      .min(1)
      .describe('Requests a day below which a mix is not judged. Default 500.')
      .exactOptional(),
    mixDistance: z
      .number()
      .min(0.01)
      .max(1)
      .describe('Jensen-Shannon divergence, in bits. Default 0.3.')
      .exactOptional(),
    unused: duration.describe('Time after which what was allowed and not used is told. Default 2160h.').exactOptional(),
    clockSkew: duration.describe('How far a clock may be off. Default 30s.').exactOptional(),
    maxPerHour: z.int().min(1).max(10_000).describe('Findings an hour; more are counted. Default 200.').exactOptional(),
    mute: z
      .array(
        z.strictObject({
          finding: z.enum(types).exactOptional(),
          subject: text.describe('Whom it is about; with * at its end, all that begin so.').exactOptional(),
          target: text.exactOptional(),
        }),
      )
      .max(256)
      .describe('What is not told: every member that is given must fit.')
      .exactOptional(),
    webhook: z
      .strictObject({
        url: url.describe('Where each finding is posted as an OCSF Detection Finding.'),
        secretEnv: z
          .string()
          .regex(/^WRIT_[A-Z0-9_]{1,123}$/, { error: 'is not the name of a variable that begins with WRIT_' })
          .describe('Variable that holds the secret of the signature.'),
      })
      .exactOptional(),
    topic: topicName
      .describe('Topic that each finding is published on, on the brokers of the stream; writ kafka prepare makes it.')
      .exactOptional(),
  })
  .describe('What the log tells by itself.')

export const accessSpec: z.ZodType<AccessSpec> = z
  .strictObject({
    bundle: bundleName.describe('Name of a policy bundle.'),
    entrypoint: entrypoint.describe('Rule that is asked who may read the audit: true, or an object with allow.'),
  })
  .describe('Who may read the audit. Default: the operator’s socket and the page.')

export function findingsOf({ mute, webhook, topic, ...spec }: FindingsSpec = {}, stream?: StreamPlace): FindingsPlace {
  const ms = (text: string | undefined, otherwise: number): number =>
    text === undefined ? otherwise : durationMs(text)
  const { learningMs, unusedMs, clockSkewMs } = findingDefaults
  return {
    settings: {
      learningMs: ms(spec.learning, learningMs),
      minDenials: spec.minDenials ?? findingDefaults.minDenials,
      spikeFactor: spec.spikeFactor ?? findingDefaults.spikeFactor,
      minMix: spec.minRequests ?? findingDefaults.minMix,
      mixDistance: spec.mixDistance ?? findingDefaults.mixDistance,
      unusedMs: ms(spec.unused, unusedMs),
      clockSkewMs: ms(spec.clockSkew, clockSkewMs),
      maxPerHour: spec.maxPerHour ?? findingDefaults.maxPerHour,
      mute: mute ?? [],
    },
    ...(webhook && { webhook }),
    ...(topic !== undefined && stream?.kind === 'kafka' && { topic: { ...stream, topic } }),
  }
}

/** Who reads records reads nothing else, and without brokers there is no topic. */
export function topicProblems<Spec extends { readonly audit?: { readonly findings?: FindingsSpec } }>(
  mesh: Placed<Spec>,
  stream: StreamPlace,
): readonly Problem[] {
  const topic = mesh.spec.audit?.findings?.topic
  const path = ['spec', 'audit', 'findings', 'topic']
  if (topic === undefined) return []
  if (stream.kind !== 'kafka') {
    const problem = `the stream is ${stream.kind}, and has no topic ${topic}`
    return [problemAt(mesh, path, problem, 'set spec.audit.stream.kafka, or leave topic out')]
  }
  if (stream.topic !== topic) return []
  return [problemAt(mesh, path, `${topic} is the topic of records`, 'give findings a topic of their own')]
}

/** A mistake in a name would lock everybody out, or be found by the first who asks. */
export function accessProblems<Spec extends { readonly audit?: { readonly access?: AccessSpec } }>(
  mesh: Placed<Spec>,
  bundles: readonly { readonly bundle: string }[] | 'any',
  sources: readonly { readonly name: string }[],
): readonly Problem[] {
  const { access } = mesh.spec.audit ?? {}
  if (!access || bundles === 'any') return []
  if ([...bundles.map(({ bundle }) => bundle), ...sources.map(({ name }) => name)].includes(access.bundle)) return []
  const problem = `there is no bundle ${access.bundle}`
  return [problemAt(mesh, ['spec', 'audit', 'access', 'bundle'], problem, 'build it with writ policy build')]
}
