/** A kafkajs client whose every wait is bounded, and what its failures are called here. */

import { Kafka, type KafkaConfig, logLevel, type SASLOptions } from 'kafkajs'
import { messageOf, WritError } from '../../core/fault.ts'
import type { SaslMechanism } from '../../core/snapshot.ts'
import type { OnNotice } from '../stream/notice.ts'
import { useCodecs } from './kafka-codec.ts'

export interface KafkaOptions {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly clientId: string
  /** How this client proves who it is; asked before each new connection, so that what was renewed is taken up. */
  readonly credentials?: () => Promise<KafkaCredentials>
  /** What the client says about itself; nothing goes to the console. Default: dropped. */
  readonly onEvent?: OnNotice
}

export interface KafkaCredentials {
  /** PEM texts; `true` is TLS by the machine's own roots. */
  readonly tls?: true | { readonly ca?: string; readonly cert?: string; readonly key?: string }
  readonly sasl?: { readonly mechanism: SaslMechanism; readonly username: string; readonly password: string }
}

/** A client whose every wait is bounded and whose log goes to `onEvent`. */
export async function newKafka({ brokers, clientId, credentials, onEvent }: KafkaOptions): Promise<Kafka> {
  useCodecs()
  const { tls, sasl } = (await credentials?.()) ?? {}
  const config: KafkaConfig = {
    brokers: [...brokers],
    clientId,
    connectionTimeout: 5_000,
    authenticationTimeout: 10_000,
    requestTimeout: 15_000,
    enforceRequestTimeout: true,
    // By default it retries until the end of days with some settings, and a dead broker would hold everything up.
    retry: { retries: 4, initialRetryTime: 200, maxRetryTime: 3_000 },
    logLevel: logLevel.WARN,
    logCreator: () => {
      const say = sayOnce(onEvent)
      return (entry) => say(noticeOf(entry))
    },
  }
  if (tls) config.ssl = tls === true ? true : { ...tls }
  if (sasl) {
    const { username, password } = sasl
    config.sasl = { mechanism: mechanisms[sasl.mechanism], username, password } as SASLOptions
  }
  return new Kafka(config)
}

/** As kafkajs spells them. */
const mechanisms = {
  PLAIN: 'plain',
  'SCRAM-SHA-256': 'scram-sha-256',
  'SCRAM-SHA-512': 'scram-sha-512',
} as const satisfies Record<SaslMechanism, string>

/** While a broker is away kafkajs says the same many times a second; the same words count again after a minute. */
function sayOnce(onEvent: OnNotice | undefined): OnNotice {
  const said = new Map<string, number>()
  return (notice) => {
    const nowMs = performance.now()
    if (nowMs - (said.get(notice.detail) ?? Number.NEGATIVE_INFINITY) < 60_000) return
    if (said.size >= 100) said.clear()
    said.set(notice.detail, nowMs)
    onEvent?.(notice)
  }
}

function noticeOf(entry: {
  readonly level: logLevel
  readonly namespace: string
  readonly log: { readonly message: string; readonly [key: string]: unknown }
}): Parameters<OnNotice>[0] {
  const { message, error, broker } = entry.log
  const parts = [entry.namespace, message, error, broker].filter((part) => typeof part === 'string' && part !== '')
  return { name: 'kafka', level: entry.level === logLevel.ERROR ? 'error' : 'warn', detail: parts.join(': ') }
}

export function unavailable({ brokers, topic }: Pick<KafkaOptions, 'brokers' | 'topic'>, thrown: unknown): WritError {
  if (thrown instanceof WritError) return thrown
  const { text, type } = causeOf(thrown)
  const named = type === undefined || text.includes(type) ? text : `${text} (${type})`
  return new WritError('stream_unavailable', `Kafka (${brokers.join(', ')}, topic ${topic}): ${named}`, {
    cure: cureOf(type, text),
    cause: thrown,
  })
}

/**
 * The broker read the request and said no for good: the connection is well, and trying the same again is no use.
 * A login that failed is none, since a new connection reads name and password anew.
 */
export function isRefusal(thrown: unknown): boolean {
  const { type, retriable } = causeOf(thrown)
  return type !== undefined && !retriable && !type.includes('SASL')
}

/** The protocol's own name of what a broker answered; undefined where it is no such answer. */
export const protocolErrorOf = (thrown: unknown): string | undefined => causeOf(thrown).type

interface Cause {
  readonly text: string
  /** The protocol's own name of the error, where the broker gave one. */
  readonly type: string | undefined
  readonly retriable: boolean
}

/** What is at the bottom of an error: kafkajs wraps it in how often it tried. */
function causeOf(thrown: unknown): Cause {
  let at = thrown
  for (let depth = 0; depth < 5; depth++) {
    const inner = at instanceof Error ? at.cause : undefined
    if (!(inner instanceof Error)) break
    at = inner
  }
  const said = at instanceof Error ? (at as Error & { type?: unknown; retriable?: unknown }) : undefined
  const isLogin = said?.name === 'KafkaJSSASLAuthenticationError'
  const type = isLogin ? 'SASL_AUTHENTICATION_FAILED' : typeof said?.type === 'string' ? said.type : undefined
  return { text: messageOf(at), type, retriable: !isLogin && said?.retriable !== false }
}

function cureOf(type: string | undefined, text: string): string {
  switch (type) {
    case 'MESSAGE_TOO_LARGE':
    case 'RECORD_LIST_TOO_LARGE':
      return "Raise the topic's max.message.bytes: writ kafka prepare sets it."
    case 'UNKNOWN_TOPIC_OR_PARTITION':
      return 'Make the topic with writ kafka prepare, or name the one that is there.'
    case 'TOPIC_AUTHORIZATION_FAILED':
    case 'GROUP_AUTHORIZATION_FAILED':
    case 'CLUSTER_AUTHORIZATION_FAILED':
      return 'Allow it to this client: writ kafka prepare with --proxies and --auditor makes the ACLs.'
    case 'SASL_AUTHENTICATION_FAILED':
    case 'UNSUPPORTED_SASL_MECHANISM':
      return 'Compare name, password and mechanism of audit.stream.kafka.sasl with what the brokers know.'
    case 'NOT_ENOUGH_REPLICAS':
    case 'NOT_ENOUGH_REPLICAS_AFTER_APPEND':
      return "Bring brokers back: fewer than the topic's min.insync.replicas have the partition."
  }
  if (/certificate|TLS|SSL|altnames/i.test(text)) {
    return 'Compare audit.stream.kafka.tls with the brokers: who signed their certificates, which names these bear, and whether they ask for one.'
  }
  return 'Look whether the brokers answer, the topic exists and this client may use it.'
}

/** Rejects when the time is over; what comes later is ignored. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
