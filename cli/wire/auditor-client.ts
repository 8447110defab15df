/** What control asks of the auditor, over mTLS: the log's public key, and receipts. */

import { caRequest } from '../../ca/node/client.ts'
import { fromUtf8 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { FindReceipt } from '../../core/ports.ts'
import { type MeshClientOptions, receiptOf } from './mesh-client.ts'

export interface AuditorClient {
  verifierKey(): Promise<string>
  readonly findReceipt: FindReceipt
}

export function auditorClient({ url, expect, source, nowMs }: MeshClientOptions): AuditorClient {
  const ask = (path: string) => caRequest({ url, expect, state: source.current(), nowMs, method: 'GET', path })
  return {
    async verifierKey() {
      const { status, bytes } = await ask('/log.pub')
      if (status === 200) return fromUtf8(bytes).trim()
      throw new WritError('unavailable', `${url}/log.pub answered ${status}`)
    },
    async findReceipt({ epoch, seq }) {
      const { status, bytes } = await ask(`/receipts/${epoch}/${seq}`)
      if (status === 200) return receiptOf(bytes)
      if (status === 404) return undefined
      throw new WritError('unavailable', `${url} answered ${status}`)
    },
  }
}
