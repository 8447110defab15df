/** How the mesh file says where Kafka is and how its clients prove who they are. Secrets are named, never written. */

import { z } from 'zod'
import type { KafkaPlace } from '../../core/snapshot.ts'

export type KafkaSpec = Pick<KafkaPlace, 'brokers' | 'tls' | 'sasl'> & { readonly topic?: string }

/**
 * A prefix of our own: a snapshot names what a proxy reads and shows to a broker, and whoever writes snapshots is to
 * get none of the machine's other variables by it.
 */
const env = z
  .string()
  .regex(/^WRIT_[A-Z0-9_]{1,123}$/, { error: 'is not the name of an environment variable that begins with WRIT_' })

const file = z.string().regex(/^\/[^\0\n]{1,4095}$/, { error: 'is not an absolute path' })

export const kafkaTls: z.ZodType<NonNullable<KafkaPlace['tls']>> = z.union(
  [
    z.literal(true),
    z
      .strictObject({
        caFile: file.describe("PEM of whom to trust. Default: the machine's own roots.").exactOptional(),
        certFile: file.describe("PEM of this client's certificate and its chain.").exactOptional(),
        keyFile: file.describe('PEM of its key.').exactOptional(),
      })
      .refine((tls) => (tls.certFile === undefined) === (tls.keyFile === undefined), {
        error: 'has one of certFile and keyFile: a certificate goes with its key',
      }),
  ],
  { error: 'is neither true nor {caFile, certFile, keyFile}, absolute paths, a certFile with its keyFile' },
)

export const kafkaSasl: z.ZodType<NonNullable<KafkaPlace['sasl']>> = z
  .strictObject({
    mechanism: z.enum(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']),
    username: z.string().min(1).max(256).exactOptional(),
    usernameEnv: env.describe('Variable that holds the name, where each machine has one of its own.').exactOptional(),
    passwordEnv: env.describe('Variable that holds the password.').exactOptional(),
    passwordFile: file.describe('File that holds the password: one line.').exactOptional(),
  })
  .refine((sasl) => (sasl.username === undefined) !== (sasl.usernameEnv === undefined), {
    error: 'has not exactly one of username and usernameEnv',
  })
  .refine((sasl) => (sasl.passwordEnv === undefined) !== (sasl.passwordFile === undefined), {
    error: 'has not exactly one of passwordEnv and passwordFile',
  })

export const topicName: z.ZodString = z
  .string()
  .regex(/^[A-Za-z0-9._-]{1,249}$/, { error: 'is not a Kafka topic name' })

export const kafkaSpec: z.ZodType<KafkaSpec> = z
  .strictObject({
    brokers: z
      .array(z.string().regex(/^[^\s:/]+:[0-9]{1,5}$|^\[[0-9a-f:.]+\]:[0-9]{1,5}$/, { error: 'is not host:port' }))
      .min(1)
      .max(64)
      .describe('host:port of at least one broker.'),
    topic: topicName.describe('Default writ.records.v1.').exactOptional(),
    tls: kafkaTls.exactOptional(),
    sasl: kafkaSasl.exactOptional(),
  })
  .refine((kafka) => kafka.sasl?.mechanism !== 'PLAIN' || kafka.tls !== undefined, {
    path: ['sasl', 'mechanism'],
    error: 'is PLAIN without tls, which would show the password to everybody on the way',
  })

export const kafkaPlace = ({ brokers, topic, tls, sasl }: KafkaSpec): KafkaPlace => ({
  kind: 'kafka',
  brokers,
  topic: topic ?? 'writ.records.v1',
  ...(tls && { tls }),
  ...(sasl && { sasl }),
})
