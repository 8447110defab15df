/** Tokens of requests: issuers' keys over HTTP or out of files, and the judge of tokens that all sidecars of a process share. */

import { closeSync, openSync, readSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { makeAuthenticate } from '../../ca/token/authenticate.ts'
import { maxKeySetBytes } from '../../ca/token/key-set.ts'
import { type FetchKeys, holdKeys, type KeyNews } from '../../ca/token/keys.ts'
import type { ReadKeyFile } from '../../control/mesh/tokens.ts'
import type { Authenticate } from '../../core/ports.ts'
import type { HttpTransport } from '../../engine/http-send.ts'
import { openHttpTransport } from '../../engine/node/http-transport.ts'
import { sha256 } from './machine.ts'
import type { OnEvent } from './telemetry.ts'

export const openTokens = (onEvent: OnEvent): Authenticate =>
  makeAuthenticate({ keys: holdKeys(fetchKeysOver(openHttpTransport()), (news) => tellKeys(news, onEvent)), sha256 })

/** Follows no redirect: who is named in the mesh file is asked, and nobody else. */
export const fetchKeysOver =
  (transport: HttpTransport): FetchKeys =>
  async (url, { maxBytes, timeoutMs, privateAddresses }) => {
    const { status, body } = await transport({
      method: 'GET',
      url: new URL(url),
      headers: { accept: 'application/jwk-set+json, application/json' },
      body: undefined,
      signal: AbortSignal.timeout(timeoutMs),
      ...{ maxBytes, privateAddresses },
    })
    if (status !== 200) throw new Error(`it answered ${status}`)
    return body
  }

export function tellKeys({ url, problem, kept }: KeyNews, onEvent: OnEvent): void {
  const then = kept ? 'goes on with the last good keys' : 'tokens of its issuer cannot be checked'
  if (problem === undefined) onEvent({ level: 'info', from: 'tokens', text: `${url} answers again` })
  else onEvent({ level: 'warn', from: 'tokens', text: `${url}: ${problem.slice(0, 500)}; ${then}` })
}

/** Files stand beside the mesh file. No more is read of one than a key set may have, and one byte that tells. */
export const keyFilesOf =
  (meshFile: string): ReadKeyFile =>
  (file) => {
    const opened = openSync(resolve(dirname(meshFile), file), 'r')
    try {
      const bytes = new Uint8Array(maxKeySetBytes + 1)
      let length = 0
      for (let read = 1; read > 0 && length < bytes.length; length += read) {
        read = readSync(opened, bytes, length, bytes.length - length, null)
      }
      return bytes.subarray(0, length)
    } finally {
      closeSync(opened)
    }
  }
