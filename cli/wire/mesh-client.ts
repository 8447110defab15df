/** What a sidecar asks of control, over mTLS with its own SVID. */

import { type Followed, followBundles } from '../../ca/node/attest.ts'
import { type CaReply, type CaRequest, caRequest } from '../../ca/node/client.ts'
import type { TrustNews } from '../../ca/wire.ts'
import { checkSnapshot } from '../../control/mesh/name.ts'
import { fromBase64, fromUtf8, toBase64 } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import { isObject, type Json, parseJson } from '../../core/json.ts'
import type { Receipt } from '../../core/log.ts'
import type { FindReceipt, IdentitySource, KeyVault } from '../../core/ports.ts'
import type { MeshSnapshot } from '../../core/snapshot.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { sha256 } from './machine.ts'

export interface MeshClient {
  /** The newest snapshot, or undefined where `name` is still it after a wait of some seconds. */
  snapshot(name: string, signal: AbortSignal): Promise<MeshSnapshot | undefined>
  bundle(sha256: string): Promise<Uint8Array>
  /** Data that policies read beside their bundles, by its digest. */
  data(sha256: string): Promise<Uint8Array>
  /** How long ago control last saw that each version is the newest. */
  dataFreshness(): Promise<readonly { readonly name: string; readonly sha256: string; readonly ageMs: number }[]>
  /** The newest deny list, or undefined where `generation` is still it after a wait of some seconds. */
  denied(
    generation: number | undefined,
    signal: AbortSignal,
  ): Promise<{ readonly generation: number; readonly denied: ReadonlySet<string> } | undefined>
  /** The newest trust bundles, or undefined where those of `etag` are still it after a wait of some seconds. */
  trust(etag: string | undefined, signal: AbortSignal): Promise<Followed<TrustNews> | undefined>
  status(report: Json): Promise<void>
  readonly findReceipt: FindReceipt
  readonly vault: KeyVault
}

export interface MeshClientOptions {
  /** `https://127.0.0.1:7443`. */
  readonly url: string
  /** The name that the other end must prove. */
  readonly expect: SpiffeId
  readonly source: IdentitySource
  readonly nowMs: () => number
}

const waitS = 20

/** A caller who has a version already waits for the next one. */
const waitFor = (version: string | number | undefined): Partial<CaRequest> =>
  version === undefined ? {} : { etag: `"${version}"`, waitS, timeoutMs: (waitS + 10) * 1000 }

export function meshClient({ url, expect, source, nowMs }: MeshClientOptions): MeshClient {
  const ask = (path: string, more: Partial<CaRequest> = {}): Promise<CaReply> =>
    caRequest({ url, expect, state: source.current(), nowMs, method: 'GET', path, ...more })

  const good = async (path: string, more?: Partial<CaRequest>): Promise<Uint8Array> => {
    const { status, bytes } = await ask(path, more)
    if (status >= 200 && status < 300) return bytes
    throw problemOf(url, path, status, bytes)
  }

  return {
    async snapshot(name, signal) {
      const { status, bytes } = await ask('/v1/snapshot', { ...waitFor(name === '' ? undefined : name), signal })
      if (status === 304) return undefined
      if (status !== 200) throw problemOf(url, '/v1/snapshot', status, bytes)
      return checkSnapshot(parseJson(fromUtf8(bytes)), sha256)
    },
    bundle: (digest) => good(`/v1/bundles/${digest}`),
    data: (digest) => good(`/v1/data/${digest}`),
    async dataFreshness() {
      const body = parseJson(fromUtf8(await good('/v1/data-freshness')))
      const data = isObject(body) ? body['data'] : undefined
      if (!Array.isArray(data)) throw new WritError('unavailable', 'control does not say how old data is')
      return (data as readonly Json[]).flatMap((one) => {
        const { name, sha256, age_ms: ageMs } = isObject(one) ? one : {}
        const whole = typeof name === 'string' && typeof sha256 === 'string' && typeof ageMs === 'number' && ageMs >= 0
        return whole ? [{ name, sha256, ageMs }] : []
      })
    },
    async denied(generation, signal) {
      const { status, bytes } = await ask('/v1/denied', { ...waitFor(generation), signal })
      if (status === 304) return undefined
      if (status !== 200) throw problemOf(url, '/v1/denied', status, bytes)
      const body = parseJson(fromUtf8(bytes))
      if (isObject(body) && typeof body['generation'] === 'number' && Array.isArray(body['denied'])) {
        return { generation: body['generation'], denied: new Set(body['denied'].map(String)) }
      }
      throw new WritError('unavailable', 'control gave no deny list')
    },
    trust: (etag, signal) => followBundles({ url, expect, nowMs, state: source.current(), etag, signal }),
    async status(report) {
      await good('/v1/status', { method: 'POST', body: report })
    },
    vault: {
      async put({ id, subject, key }) {
        await good('/v1/disclosure-keys', { method: 'POST', body: { id, subject, key: toBase64(key) } })
      },
    },
    async findReceipt({ epoch, seq }) {
      const { status, bytes } = await ask(`/v1/receipts/${epoch}/${seq}`)
      if (status === 404) return undefined
      if (status !== 200) throw problemOf(url, '/v1/receipts', status, bytes)
      return receiptOf(bytes)
    },
  }
}

/** As GET /v1/receipts answers. Whoever uses it verifies it against the log's key. */
export function receiptOf(bytes: Uint8Array): Receipt {
  const body = parseJson(fromUtf8(bytes))
  if (isObject(body) && typeof body['index'] === 'number' && typeof body['note'] === 'string') {
    const path = Array.isArray(body['path']) ? body['path'].map((hash) => fromBase64(String(hash))) : [undefined]
    if (path.every((hash) => hash !== undefined)) return { index: body['index'], path, note: body['note'] }
  }
  throw new WritError('log_invalid', 'what came as a receipt is none')
}

function problemOf(url: string, path: string, status: number, bytes: Uint8Array): WritError {
  let detail = ''
  try {
    const body = parseJson(fromUtf8(bytes))
    detail = isObject(body) ? `: ${String(body['detail'] ?? body['title'] ?? '')}` : ''
  } catch (thrown) {
    detail = `: ${messageOf(thrown)}`
  }
  return new WritError('unavailable', `${url}${path} answered ${status}${detail}`)
}
