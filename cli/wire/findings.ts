/** Findings as the log of this process makes them, and the webhook and the topic that hear of them. */

import { type SendFinding, startDelivery } from '../../audit/findings/node/deliver.ts'
import { type Finder, makeFinder } from '../../audit/findings/node/finder.ts'
import { publishFinding } from '../../audit/findings/node/topic.ts'
import { postFinding } from '../../audit/findings/node/webhook.ts'
import type { Auditor } from '../../audit/node/auditor.ts'
import { kafkaSender } from '../../audit/node/kafka.ts'
import type { Store } from '../../audit/node/store.ts'
import { type FindingsPlace, findingsOf } from '../../control/mesh/findings.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { NowNs } from '../../core/ports.ts'
import { spiffeId, type TrustDomain } from '../../core/spiffe.ts'
import { version } from '../version.ts'
import { kafkaAccess } from './kafka-access.ts'
import type { OnEvent } from './telemetry.ts'

export interface FindingsOptions {
  readonly store: Store
  readonly trustDomain: TrustDomain
  /** Settings may change while it runs; whom it tells is settled at the start. */
  readonly findings?: () => FindingsPlace
  readonly now: NowNs
  readonly onEvent: OnEvent
}

export interface OpenFindings {
  readonly finder: Finder
  start(auditor: Auditor): Promise<void>
  close(): Promise<void>
}

export async function openFindings(options: FindingsOptions): Promise<OpenFindings> {
  const { store, trustDomain, now, onEvent } = options
  const place = options.findings ?? (() => findingsOf())
  const { webhook, topic } = place()
  const nowMs = (): number => Number(now() / 1_000_000n)
  const secret = webhook && secretOf(webhook.secretEnv)
  const credentials = topic && (await kafkaAccess(topic))
  const own = spiffeId(trustDomain, '/writ/auditor') as string
  const product = { version, trustDomain }
  const told = (text: string): void => onEvent({ level: 'warn', from: 'findings', text })
  const finder = makeFinder({
    store,
    settings: () => place().settings,
    sinks: () => [...(webhook ? ['webhook'] : []), ...(topic ? ['topic'] : [])],
    own,
    nowMs,
    onFault: (thrown) => told(`nothing is found for now: ${messageOf(thrown)}`),
  })
  const closing: (() => Promise<void>)[] = []
  const deliver = (sink: string, send: SendFinding): void => {
    const delivering = startDelivery({ db: store.db, sink, send, onFault: (text) => told(`the ${sink}: ${text}`) })
    closing.unshift(() => delivering.close())
  }
  return {
    finder,
    async start(auditor) {
      await finder.start(auditor)
      if (webhook && secret !== undefined) {
        deliver('webhook', postFinding({ url: webhook.url, secret, product, nowMs }))
      }
      if (topic && credentials) {
        const sender = kafkaSender({ ...topic, credentials, clientId: 'writ-findings' })
        closing.push(() => sender.close())
        deliver('topic', publishFinding(sender, own, product))
      }
    },
    async close() {
      for (const step of closing) await step()
    },
  }
}

function secretOf(name: string): string {
  const secret = process.env[name]
  if (secret !== undefined && secret.length >= 16) return secret
  throw new WritError('config_invalid', `the environment has no ${name} of 16 characters or more`, {
    cure: `export ${name}=… where this process starts; the receiver checks the signature with it`,
  })
}
