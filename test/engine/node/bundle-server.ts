/** A bundle server for tests: gives what it is told to, and remembers what it was asked. */

import { createHash } from 'node:crypto'
import { createServer, type IncomingHttpHeaders, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface BundleServer {
  readonly url: string
  readonly asked: readonly { readonly path: string; readonly headers: IncomingHttpHeaders }[]
  /** From now on it gives this, with the digest as ETag, and 304 to who has it. */
  give(bundle: Uint8Array): void
  /** From now on it answers so. */
  answer(listener: RequestListener): void
  close(): Promise<void>
}

export async function openBundleServer(): Promise<BundleServer> {
  const asked: { path: string; headers: IncomingHttpHeaders }[] = []
  let answer: RequestListener = (_, response) => response.writeHead(404).end()
  const server = createServer((request, response) => {
    asked.push({ path: request.url ?? '', headers: request.headers })
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    give(bundle) {
      const etag = `"${createHash('sha256').update(bundle).digest('hex')}"`
      answer = (request, response) => {
        if (request.headers['if-none-match'] === etag) response.writeHead(304, { etag }).end()
        else sendBundle(response, bundle, { etag })
      }
    },
    answer(listener) {
      answer = listener
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

export function sendBundle(response: ServerResponse, bundle: Uint8Array, headers: Record<string, string> = {}): void {
  response.writeHead(200, { 'content-type': 'application/gzip', ...headers }).end(bundle)
}
