/** Posts a finding: an OCSF finding, signed, so that its receiver knows who sent it and when. */

import { createHmac } from 'node:crypto'
import { type OcsfProduct, ocsfFinding } from '../ocsf.ts'
import type { SendFinding } from './deliver.ts'

export interface WebhookOptions {
  readonly url: string
  readonly secret: string
  readonly product: OcsfProduct
  readonly nowMs: () => number
  /** Longest time for one post, in milliseconds. Default 10 000. */
  readonly timeoutMs?: number
}

export function postFinding({ url, secret, product, nowMs, timeoutMs = 10_000 }: WebhookOptions): SendFinding {
  return async (finding) => {
    const body = JSON.stringify(ocsfFinding(finding, product))
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'writ-finding-id': finding.id,
        'writ-signature': signatureOf(secret, Math.floor(nowMs() / 1000), body),
      },
      body,
      redirect: 'manual', // What is signed for one receiver goes to no other.
      signal: AbortSignal.timeout(timeoutMs),
    })
    await response.body?.cancel()
    if (response.status < 200 || response.status > 299) throw new Error(`it answered ${response.status}`)
  }
}

/** `t=<seconds since 1970>,v1=<HMAC-SHA-256 of "<t>.<body>", lower-case hex>`: an old post cannot be sent again as a new one. */
export const signatureOf = (secret: string, seconds: number, body: string): string =>
  `t=${seconds},v1=${createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')}`
