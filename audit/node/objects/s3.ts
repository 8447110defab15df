/**
 * Objects of an S3-compatible store, below a prefix: read whole, written under a condition, listed, removed. Servers are
 * strangers: answers are bounded, and what fails for a while is tried again.
 */

import { createHash, createHmac, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { SignatureV4 } from '@smithy/signature-v4'
import { messageOf, WritError } from '../../../core/fault.ts'
import type { SignRequest } from '../../../core/ports.ts'
import { readWhole } from '../bounded.ts'
import { maxFileBytes, unreadable } from '../packed.ts'
import { backOff } from '../pause.ts'
import { errorOf, type Listed, parseListing } from './answers.ts'
import type { S3Place } from './place.ts'

export interface Stored {
  readonly bytes: Uint8Array
  /** Names this content, to write over it and no other. */
  readonly etag: string
}

/** `new`: only where there is nothing; an `etag`: only over that content; `any`: over whatever there is. */
export type Condition = 'new' | 'any' | { readonly etag: string }

export interface PutOptions {
  readonly when: Condition
  /** What the bytes are packed with; readers are given them unpacked. */
  readonly encoding?: 'gzip'
  /** Never changes, so that others may keep it. */
  readonly immutable?: boolean
}

export interface Objects {
  /** Undefined where there is none. What is longer than `maxBytes` once unpacked, or cannot be, is no file of ours. */
  get(key: string, maxBytes?: number): Promise<Stored | undefined>
  /** The new etag; undefined where the condition did not hold. */
  put(key: string, bytes: Uint8Array, options: PutOptions): Promise<string | undefined>
  /** Keys that begin with `prefix`; with `folders`, what of the first folder below it instead. */
  list(prefix: string, folders?: boolean): Promise<readonly string[]>
  /** Where it is gone already nothing happens. */
  remove(key: string): Promise<void>
  /** The same store below a folder more. */
  below(folder: string): Objects
}

export interface ObjectsOptions {
  readonly signal?: AbortSignal
  /** Tries of one request before it counts as failed. Default 4. */
  readonly tries?: number
}

/** Time for one answer to come whole, in milliseconds. */
const answerMs = 60_000
const pauses = { first: 200, most: 5000 }
/** Keys of one listing that are read: of a log with more files than this in one folder something is wrong. */
const maxKeys = 1_000_000

interface Asked {
  readonly method: 'GET' | 'PUT' | 'DELETE'
  readonly key: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
}

export function openObjects(place: S3Place, options: ObjectsOptions = {}): Objects {
  const sign = signerOf(place)
  const where = `s3://${place.bucket}`

  async function once({ method, key, query = {}, headers = {}, body }: Asked): Promise<Response> {
    const url = new URL(`/${place.bucket}${key === '' ? '' : `/${key}`}`, place.endpoint)
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
    const timeout = AbortSignal.timeout(answerMs)
    return fetch(url.href.replaceAll('+', '%20'), {
      method,
      headers: await sign(method, url, query, headers, body),
      redirect: 'manual',
      signal: options.signal ? AbortSignal.any([options.signal, timeout]) : timeout,
      ...(body && { body: body as Uint8Array<ArrayBuffer> }),
    })
  }

  /** `read` of the first answer that is one. The store being busy, away or broken is waited for. */
  async function ask<T>(asked: Asked, read: (answer: Response) => Promise<T>): Promise<T> {
    const { tries = 4 } = options
    for (let tried = 1; ; tried++) {
      try {
        const answer = await once(asked)
        if (answer.status < 500 && answer.status !== 429) return await read(answer)
        throw new WritError('unavailable', await errorOf(answer))
      } catch (thrown) {
        if (thrown instanceof WritError && thrown.code !== 'unavailable') throw thrown
        if (tried >= tries || options.signal?.aborted) {
          throw new WritError('unavailable', `${where}/${asked.key}: ${reasonOf(thrown)}`, {
            cure: 'nothing is lost by it: it is tried again; see that the endpoint answers',
            cause: thrown,
          })
        }
        await sleep(backOff(tried - 1, pauses, randomBytes), undefined, options).catch(() => undefined)
      }
    }
  }

  async function refused(answer: Response, key: string): Promise<WritError> {
    const why = await errorOf(answer)
    const region = answer.headers.get('x-amz-bucket-region')
    const cure =
      region && region !== place.region
        ? `the bucket is in ${region}: set that region`
        : 'see that the bucket is there, and that these credentials may get, put, delete and list below the prefix'
    return new WritError(answer.status === 404 ? 'not_found' : 'forbidden', `${where}/${key}: ${why}`, { cure })
  }

  /** Without a name, a store that may not be listed says 403 of what is not there. */
  const isAbsent = ({ status }: Response): boolean => status === 404 || (status === 403 && !place.credentials)

  const below = (prefix: string): Objects => ({
    get: (name, maxBytes = maxFileBytes) =>
      ask({ method: 'GET', key: prefix + name }, async (answer) => {
        if (isAbsent(answer)) {
          const why = await errorOf(answer)
          if (/\bNoSuchBucket\b/.test(why)) throw await refused(new Response(why, { status: 404 }), prefix + name)
          return undefined
        }
        if (answer.status !== 200) throw await refused(answer, prefix + name)
        const bytes = await readWhole(answer, maxBytes)
        const etag = answer.headers.get('etag') ?? ''
        return bytes === 'too_long' ? undefined : { bytes: bytes === 'damaged' ? unreadable : bytes, etag }
      }),
    put: (name, body, { when, encoding, immutable }) => {
      const headers = {
        'content-type': 'application/octet-stream',
        'cache-control': immutable ? 'public, max-age=31536000, immutable' : 'no-cache',
        ...(encoding && { 'content-encoding': encoding }),
        ...(when === 'new' && { 'if-none-match': '*' }),
        ...(typeof when === 'object' && { 'if-match': when.etag }),
      }
      return ask({ method: 'PUT', key: prefix + name, headers, body }, async (answer) => {
        // 409: somebody else writes it just now. 404: what was to be written over is gone.
        if ([412, 409].includes(answer.status) || (answer.status === 404 && typeof when === 'object')) {
          await answer.body?.cancel()
          return undefined
        }
        if (answer.status !== 200) throw await refused(answer, prefix + name)
        await answer.body?.cancel()
        return answer.headers.get('etag') ?? ''
      })
    },
    list: async (start, folders = false) => {
      const found: string[] = []
      for (let token: string | undefined = ''; token !== undefined; ) {
        const query = {
          'list-type': '2',
          prefix: prefix + start,
          ...(folders && { delimiter: '/' }),
          ...(token && { 'continuation-token': token }),
        }
        const page: Listed = await ask({ method: 'GET', key: '', query }, async (answer) => {
          if (answer.status !== 200) throw await refused(answer, prefix + start)
          const bytes = await readWhole(answer, maxFileBytes)
          return parseListing(typeof bytes === 'string' ? '' : new TextDecoder().decode(bytes))
        })
        for (const key of folders ? page.folders : page.keys)
          if (key.startsWith(prefix)) found.push(key.slice(prefix.length))
        if (found.length > maxKeys)
          throw new WritError('log_invalid', `${where}/${prefix} has more than ${maxKeys} objects`)
        token = page.next === token ? undefined : page.next
      }
      return found
    },
    remove: (name) =>
      ask({ method: 'DELETE', key: prefix + name }, async (answer) => {
        if (answer.status !== 404 && (answer.status < 200 || answer.status > 299))
          throw await refused(answer, prefix + name)
        await answer.body?.cancel()
      }),
    below: (folder) => below(`${prefix}${folder}/`),
  })
  return below(place.prefix)
}

/** What of a request that never had an answer is of use to who reads it. */
const reasonOf = (thrown: unknown): string => {
  const cause = thrown instanceof Error ? thrown.cause : undefined
  return cause instanceof Error && cause.message !== '' ? cause.message : messageOf(thrown)
}

/** AWS Signature Version 4, the digest of the content within it: a service takes nothing else than was sent. */
export function signerOf(
  { credentials, region }: Pick<S3Place, 'credentials' | 'region'>,
  service = 's3',
): SignRequest {
  if (!credentials) return async (_method, _url, _query, headers) => ({ ...headers })
  const signer = new SignatureV4({ service, region, credentials, sha256: Digest, uriEscapePath: false })
  return async (method, url, query, headers, body) => {
    const signed = await signer.sign({
      ...{ method, query: { ...query }, protocol: url.protocol, hostname: url.hostname, path: url.pathname },
      headers: { ...headers, host: url.host },
      ...(body && { body }),
    })
    const { host: _, ...rest } = signed.headers // Which fetch says by itself.
    return rest
  }
}

/** SHA-256 and its HMAC in the shape that the signer asks for. */
class Digest {
  readonly #hash: ReturnType<typeof createHash> | ReturnType<typeof createHmac>
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', bytesOf(secret))
  }
  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.#hash.update(bytesOf(data))
  }
  async digest(): Promise<Uint8Array> {
    return new Uint8Array(this.#hash.digest())
  }
  reset(): void {}
}

const bytesOf = (data: string | ArrayBuffer | ArrayBufferView): Uint8Array => {
  if (typeof data === 'string') return new TextEncoder().encode(data)
  return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data)
}
