/** Findings as the log of this process makes them, and the webhook that hears of them. */

import { type Delivering, startDelivery } from '../../audit/findings/node/deliver.ts'
import { type Finder, makeFinder } from '../../audit/findings/node/finder.ts'
import { postFinding } from '../../audit/findings/node/webhook.ts'
import type { Auditor } from '../../audit/node/auditor.ts'
import type { Store } from '../../audit/node/store.ts'
import { type FindingsPlace, findingsOf } from '../../control/mesh/findings.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { NowNs } from '../../core/ports.ts'
import { spiffeId, type TrustDomain } from '../../core/spiffe.ts'
import { version } from '../version.ts'
import type { OnEvent } from './telemetry.ts'

export interface FindingsOptions {
  readonly store: Store
  readonly trustDomain: TrustDomain
  readonly findings?: FindingsPlace
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
  const { settings, webhook } = options.findings ?? findingsOf()
  const nowMs = (): number => Number(now() / 1_000_000n)
  const secret = webhook && secretOf(webhook.secretEnv)
  const told = (text: string): void => onEvent({ level: 'warn', from: 'findings', text })
  const finder = makeFinder({
    store,
    settings: () => settings,
    sinks: () => (webhook ? ['webhook'] : []),
    own: spiffeId(trustDomain, '/writ/auditor') as string,
    nowMs,
    onFault: (thrown) => told(`nothing is found for now: ${messageOf(thrown)}`),
  })
  let delivering: Delivering | undefined
  return {
    finder,
    async start(auditor) {
      await finder.start(auditor)
      if (!webhook || secret === undefined) return
      const product = { version, trustDomain }
      const send = postFinding({ url: webhook.url, secret, product, nowMs })
      delivering = startDelivery({
        db: store.db,
        sink: 'webhook',
        send,
        onFault: (text) => told(`the webhook: ${text}`),
      })
    },
    async close() {
      await delivering?.close()
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
