/**
 * Who reads a message: Node's llhttp by itself, and nginx, Envoy and our proxy in front of it. What each understood is what
 * arrives at the echo behind it, which tells it back.
 */

import { createServer } from 'node:http'
import { connect } from 'node:net'
import { onTestFinished } from 'vitest'
import { startEnvoy } from '../../parts/envoy.ts'
import { startNginx } from '../../parts/nginx.ts'
import { makeCa, makeSource, outbound, service, startProxy, web } from '../node/kit.ts'

export const readerNames = ['ours', 'llhttp', 'nginx', 'envoy'] as const
export type ReaderName = (typeof readerNames)[number]

/** What was understood of one connection. */
export interface Reading {
  /** Each message that arrived: method, target, host and body. */
  readonly messages: readonly string[]
  /** How it ended: the status of a refusal, `closed` without one, or `waits` for more than came. */
  readonly end: string
  /** One of them was understood, and there is no service of its host: only ours routes by it. */
  readonly nowhere: boolean
}

export type Readers = Readonly<Record<ReaderName, (bytes: Buffer) => Promise<Reading>>>

const marker = 'x-understood'

export async function startReaders(): Promise<Readers> {
  const echo = await startEcho()
  const ca = makeCa()
  const hosts = ['orders', 'other', '127.0.0.1']
  const ours = await startProxy({
    source: makeSource(ca.issue(web), ca),
    listener: outbound(),
    services: hosts.map((host) => service(host, echo, undefined, host)),
    limits: { upstreams: 64 },
  })
  const nginx = await startNginx({
    http: (port) => `
  client_header_timeout 10s; client_body_timeout 10s; keepalive_requests 1000000;
  upstream echo { server 127.0.0.1:${echo}; keepalive 64; }
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://echo; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host; }
  }`,
  })
  const envoy = await startEnvoy((port) => envoyBefore(port, echo))
  onTestFinished(async () => {
    await Promise.all([nginx.remove(), envoy.remove()])
  })
  return { ours: readBy(ours.port), llhttp: readBy(echo), nginx: readBy(nginx.port), envoy: readBy(envoy.port) }
}

async function startEcho(): Promise<number> {
  const server = createServer({ insecureHTTPParser: false, keepAliveTimeout: 60_000 }, (asked, answer) => {
    const chunks: Buffer[] = []
    asked.on('data', (chunk: Buffer) => chunks.push(chunk))
    asked.on('end', () => {
      const body = Buffer.concat(chunks).toString('latin1')
      const understood = JSON.stringify([asked.method, asked.url, asked.headers.host ?? '', body])
      answer.setHeader(marker, Buffer.from(understood, 'latin1').toString('base64url'))
      answer.end()
    })
  })
  server.on('clientError', (_, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as { port: number }).port
}

/** Envoy as its guide for edges advises, but for path rewriting, which would hide what it read. */
const envoyBefore = (port: number, echo: number) => ({
  static_resources: {
    listeners: [
      {
        address: { socket_address: { address: '127.0.0.1', port_value: port } },
        filter_chains: [{ filters: [{ name: 'http', typed_config: connectionManager }] }],
      },
    ],
    clusters: [
      {
        name: 'echo',
        type: 'STATIC',
        load_assignment: {
          cluster_name: 'echo',
          endpoints: [
            {
              lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: echo } } } }],
            },
          ],
        },
      },
    ],
  },
})

const connectionManager = {
  '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
  stat_prefix: 'http',
  http_protocol_options: { accept_http_10: true },
  request_headers_timeout: '10s',
  route_config: {
    virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'echo' } }] }],
  },
  http_filters: [
    {
      name: 'envoy.filters.http.router',
      typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
    },
  ],
}

/** Silence after which a reader waits for more, in milliseconds. */
const silenceMs = 3000

const readBy =
  (port: number) =>
  (bytes: Buffer): Promise<Reading> =>
    new Promise((resolve) => {
      let all = ''
      const socket = connect({
        port,
        host: '127.0.0.1',
        localAddress: `127.0.0.${2 + Math.floor(Math.random() * 200)}`,
      })
      const done = (closed: boolean): void => {
        clearTimeout(timer)
        socket.destroy()
        resolve(readingOf(all, closed))
      }
      let timer = setTimeout(done, silenceMs, false)
      socket.on('connect', () => socket.write(bytes))
      socket.setEncoding('latin1').on('data', (text: string) => {
        all += text
        clearTimeout(timer)
        timer = setTimeout(done, silenceMs, false)
      })
      socket.on('error', () => {})
      socket.on('close', () => done(true))
    })

function readingOf(text: string, closed: boolean): Reading {
  const messages = [...text.matchAll(/^x-understood: (\S+)\r$/gim)].map(([, word]) =>
    Buffer.from(word!, 'base64url').toString('latin1'),
  )
  const refusals = [...text.matchAll(/^HTTP\/1\.[01] ([3-5]\d\d) /gm)].map(([, status]) => status!)
  return { messages, end: refusals.at(-1) ?? (closed ? 'closed' : 'waits'), nowhere: refusals.includes('404') }
}
