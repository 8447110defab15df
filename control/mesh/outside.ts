/** Who outside vouches for the log's checkpoints, as the Mesh document names them: witnesses and a time stamp authority. */

import { z } from 'zod'
import { protectedUrl } from '../../core/url.ts'
import { type Placed, type Problem, problemAt } from './problem.ts'
import { duration, durationMs } from './words.ts'

export interface WitnessSpec {
  readonly url: string
  readonly key: string
}

export interface TimestampSpec {
  readonly url: string
  readonly every?: string
}

export interface OutsideSettings {
  /** None by default: nobody outside is asked. */
  readonly witnesses: readonly WitnessSpec[]
  /** How many of them make a checkpoint a witnessed one. Default all. */
  readonly witnessQuorum: number
  /** Where RFC 3161 time stamps are had, and the time between two of them, in milliseconds. Default nowhere, 1 hour. */
  readonly timestamps: { readonly url: string; readonly everyMs: number } | undefined
}

const url = z
  .string()
  .max(2048)
  .refine((text) => fromOutside(text), { error: 'is neither an https URL nor an http URL on loopback' })

/** What others sign we verify; the wire is protected so that nobody else can keep their answers from us. */
const fromOutside = (text: string): boolean => protectedUrl(text)?.search === ''

const witness: z.ZodType<WitnessSpec> = z.strictObject({
  url: url.describe('Submission prefix; add-checkpoint is asked for below it.'),
  key: z
    .string()
    .regex(/^[^\s+]{1,1024}\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{44}$/u, {
      error: 'is not a verifier key: <name>+<id>+<base64>',
    })
    .describe('Verifier key for Ed25519 cosignatures (c2sp.org/tlog-cosignature).'),
})

export const witnesses: z.ZodType<readonly WitnessSpec[]> = z
  .array(witness)
  .min(1)
  .max(16)
  .describe('Witnesses that are asked to cosign each checkpoint (c2sp.org/tlog-witness).')

export const witnessPolicy: z.ZodType<{ readonly quorum: number }> = z
  .strictObject({ quorum: z.int().min(1).max(16) })
  .describe('How many of the witnesses make a checkpoint a witnessed one. Default all.')

export const timestamps: z.ZodType<TimestampSpec> = z
  .strictObject({
    url: url.describe('Time stamp authority (RFC 3161 over HTTP).'),
    every: duration.describe('Time between two time stamps, 1m to 24h. Default 1h.').exactOptional(),
  })
  .describe('Where the newest checkpoint is stamped with a time.')

interface OutsideFields {
  readonly witnesses?: readonly WitnessSpec[]
  readonly witnessPolicy?: { readonly quorum: number }
  readonly timestamps?: TimestampSpec
}

const minute = 60_000
const hour = 60 * minute

export function outsideOf<Spec extends { readonly audit?: OutsideFields }>(
  mesh: Placed<Spec>,
): { readonly outside: OutsideSettings; readonly problems: readonly Problem[] } {
  const { witnesses = [], witnessPolicy, timestamps } = mesh.spec.audit ?? {}
  const problems: Problem[] = []
  const seen = new Set<string>()
  for (const [i, { key }] of witnesses.entries()) {
    // The material alone: the same key under another name is the same witness.
    const material = key.slice(-44)
    if (seen.has(material)) {
      const problem = 'the same public key as a witness above'
      problems.push(problemAt(mesh, ['spec', 'audit', 'witnesses', i, 'key'], problem, 'name each witness once'))
    }
    seen.add(material)
  }
  const witnessQuorum = witnessPolicy?.quorum ?? witnesses.length
  if (witnessQuorum > witnesses.length) {
    const problem = `a quorum of ${witnessQuorum} of ${witnesses.length} witnesses`
    const cure = 'name more witnesses, or ask for fewer'
    problems.push(problemAt(mesh, ['spec', 'audit', 'witnessPolicy', 'quorum'], problem, cure))
  }
  const everyMs = timestamps?.every === undefined ? hour : durationMs(timestamps.every)
  if (everyMs < minute || everyMs > 24 * hour) {
    const problem = `${timestamps?.every} is not between 1m and 24h`
    const cure = 'an hour is usual: authorities of others are to be spared'
    problems.push(problemAt(mesh, ['spec', 'audit', 'timestamps', 'every'], problem, cure))
  }
  return {
    outside: { witnesses, witnessQuorum, timestamps: timestamps && { url: timestamps.url, everyMs } },
    problems,
  }
}
