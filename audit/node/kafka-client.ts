/** A kafkajs client whose every wait is bounded, and what its failures are called here. */

import { Kafka, type KafkaConfig, logLevel } from 'kafkajs'
import { messageOf, WritError } from '../../core/fault.ts'
import type { OnNotice } from '../stream/notice.ts'

export interface KafkaOptions {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly clientId: string
  /** PEM texts; `true` is TLS by the machine's own roots. */
  readonly tls?: true | { readonly ca?: string; readonly cert?: string; readonly key?: string }
  readonly sasl?: {
    readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
    readonly username: string
    readonly password: string
  }
  /** What the client says about itself; nothing goes to the console. Default: dropped. */
  readonly onEvent?: OnNotice
}

/** A client whose every wait is bounded and whose log goes to `onEvent`. */
export function newKafka({ brokers, clientId, tls, sasl, onEvent }: KafkaOptions): Kafka {
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
  // One line per mechanism, so that the types of kafkajs see which it is.
  if (sasl?.mechanism === 'plain') config.sasl = { ...sasl, mechanism: 'plain' }
  if (sasl?.mechanism === 'scram-sha-256') config.sasl = { ...sasl, mechanism: 'scram-sha-256' }
  if (sasl?.mechanism === 'scram-sha-512') config.sasl = { ...sasl, mechanism: 'scram-sha-512' }
  return new Kafka(config)
}

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
  return new WritError('stream_unavailable', `Kafka (${brokers.join(', ')}, topic ${topic}): ${messageOf(thrown)}`, {
    cure: 'Look whether the brokers answer, the topic exists and this client may use it.',
    cause: thrown,
  })
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
