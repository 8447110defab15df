/**
 * Takes what Envoy and OPA send away, reads it and forgets it: access logs over gRPC, decision logs over HTTP; and answers
 * unary calls of gRPC with a few bytes. A process of its own, so that none of it is counted as the peer's.
 * Usage: node bench/peers/sink.ts
 */

import { createServer } from 'node:http'
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo, Server } from 'node:net'
import { startChild } from '../../test/parts/child.ts'

export interface RunningSink {
  /** Speaks HTTP/2 by prior knowledge: a stream of access logs, and any unary call. */
  readonly grpcPort: number
  /** Answers each POST with 200. */
  readonly httpPort: number
  remove(): Promise<void>
}

export async function startSink(before: readonly string[]): Promise<RunningSink> {
  const [command, ...args] = [...before, process.execPath, import.meta.filename]
  const child = startChild(command!, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  await child.printed(/^PORTS \d+ \d+$/m, 30_000)
  const [, grpc, http] = /^PORTS (\d+) (\d+)$/m.exec(child.logs())!
  return {
    grpcPort: Number(grpc),
    httpPort: Number(http),
    remove: async () => {
      await child.kill()
    },
  }
}

/** One message, not compressed: a google.protobuf.StringValue. */
const text = Buffer.from('{"orders":[]}')
const message = Buffer.concat([Buffer.from([0, 0, 0, 0, text.length + 2, 10, text.length]), text])

function answer(stream: ServerHttp2Stream): void {
  stream.on('error', () => {})
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  stream.resume()
  stream.on('end', () => stream.end(message))
}

async function serve(): Promise<void> {
  const grpc = createHttp2Server({ settings: { maxConcurrentStreams: 1000 } })
  grpc.on('stream', answer)
  const http = createServer((request, response) => {
    request.resume().on('end', () => response.end())
  })
  const ports: number[] = []
  for (const server of [grpc, http] as Server[]) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    ports.push((server.address() as AddressInfo).port)
  }
  console.log(`PORTS ${ports.join(' ')}`)
}

if (import.meta.main) await serve()
