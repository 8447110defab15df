/**
 * A service in a mesh that traces, as W3C's validation service wants it: who asks goes through its caller's sidecar and its
 * own, and it calls back through its own, with the trace fields that it was given and no knowledge of what they mean.
 */

import { createServer, request } from 'node:http'
import { TracerProvider } from '@opentelemetry/sdk-trace'
import { onTestFinished } from 'vitest'
import { makeTrace } from '../../../proxy/telemetry/spans.ts'
import { inbound, makeCa, makeSource, orders, outbound, service, startProxy, web } from '../node/kit.ts'

interface Call {
  readonly url: string
  readonly arguments: readonly Call[]
}

/** Port of the caller's sidecar. Calls back go to `harness`. */
export async function startChain(harness: number): Promise<number> {
  const ca = makeCa()
  const source = makeSource(ca.issue(orders), ca)
  const more = { telemetry: telemetry() }
  const back = await startProxy({
    ...{ source, more, listener: outbound() },
    services: [service('harness', harness, undefined, '127.0.0.1')],
  })
  const app = await startService(back.port)
  const callee = await startProxy({ source, more, listener: inbound(app) })
  const caller = await startProxy({
    ...{ source: makeSource(ca.issue(web), ca), more: { telemetry: telemetry() }, listener: outbound() },
    services: [service('orders', callee.port, orders, '127.0.0.1')],
  })
  return caller.port
}

function telemetry() {
  const tracer = new TracerProvider().getTracer('writ')
  return { trace: makeTrace(tracer, ['w3c']), opened: () => {}, served: () => {} }
}

async function startService(sidecar: number): Promise<number> {
  const server = createServer((asked, answer) => {
    let text = ''
    asked.setEncoding('utf8').on('data', (part: string) => {
      text += part
    })
    asked.on('end', async () => {
      const trace = fieldsNamed(asked.rawHeaders, ['traceparent', 'tracestate'])
      for (const call of JSON.parse(text) as readonly Call[]) await callBack(sidecar, call, trace)
      answer.setHeader('content-type', 'application/json').end('[]')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return (server.address() as { port: number }).port
}

/** Names and values by turns. */
function fieldsNamed(raw: readonly string[], names: readonly string[]): string[] {
  const found: string[] = []
  for (let i = 0; i < raw.length; i += 2) if (names.includes(raw[i]!.toLowerCase())) found.push(raw[i]!, raw[i + 1]!)
  return found
}

function callBack(port: number, { url, arguments: calls }: Call, trace: readonly string[]): Promise<void> {
  const { host, pathname } = new URL(url)
  const body = JSON.stringify(calls)
  const headers = ['host', host, 'content-type', 'application/json', 'content-length', String(body.length), ...trace]
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, method: 'POST', path: pathname, headers: headers as never }, (answer) => {
      answer.resume().on('end', resolve)
    })
      .on('error', reject)
      .end(body)
  })
}
