/** What control asks of the auditor, over mTLS: the log's public key, receipts, and sealed personal fields. */

import { z } from 'zod'
import type { SealedFields } from '../../audit/node/disclose.ts'
import { caRequest } from '../../ca/node/client.ts'
import { fromUtf8 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { parseJson } from '../../core/json.ts'
import type { FindReceipt } from '../../core/ports.ts'
import type { RecordId } from '../../core/record.ts'
import { type MeshClientOptions, receiptOf } from './mesh-client.ts'

export interface AuditorClient {
  verifierKey(): Promise<string>
  readonly findReceipt: FindReceipt
  /** Undefined where its store has no such record. */
  findSealed(id: Pick<RecordId, 'epoch' | 'seq'>): Promise<SealedFields | undefined>
  /** Ids of records whose personal fields lie under one of those keys. */
  findUnder(keys: readonly string[], most: number): Promise<readonly string[]>
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
    async findUnder(keys, most) {
      const ids: string[] = []
      for (let from = 0; from < keys.length && ids.length < most; from += keysAtOnce) {
        const some = keys.slice(from, from + keysAtOnce).join(',')
        const { status, bytes } = await ask(`/keyed?keys=${some}&most=${most - ids.length}`)
        if (status !== 200) throw new WritError('unavailable', `${url} answered ${status}`)
        ids.push(...idsOf(bytes))
      }
      return ids
    },
    async findSealed({ epoch, seq }) {
      const { status, bytes } = await ask(`/sealed/${epoch}/${seq}`)
      if (status === 200) return sealedOf(bytes)
      if (status === 404) return undefined
      throw new WritError('unavailable', `${url} answered ${status}`)
    },
  }
}

/** Keys of one request: their names take 6.6 KB of its line. */
const keysAtOnce = 200

const idsBody = z.object({ ids: z.array(z.string().max(64)) })

function idsOf(bytes: Uint8Array): readonly string[] {
  const body = idsBody.safeParse(parseJson(fromUtf8(bytes)))
  if (body.success) return body.data.ids
  throw new WritError('log_invalid', 'what came as ids of records is none')
}

const sealedBody = z.object({
  digests: z.record(z.string(), z.string()),
  disclosure: z
    .object({
      key: z.string().regex(/^[0-9a-f]{32}$/),
      sealed: z.string().nullable(),
      erasedBy: z.string().max(64).exactOptional(),
    })
    .exactOptional(),
})

/** As GET /sealed answers. Values that are opened of it are held against the digests. */
export function sealedOf(bytes: Uint8Array): SealedFields {
  const body = sealedBody.safeParse(parseJson(fromUtf8(bytes)))
  if (body.success) return body.data
  throw new WritError('log_invalid', 'what came as sealed fields is none')
}
