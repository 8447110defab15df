import { connect, type PeerCertificate } from 'node:tls'
import { afterEach, expect, vi } from 'vitest'
import { pemOf } from '../../../ca/node/pem.ts'
import type { Svid } from '../../../core/identity.ts'
import { type RunningEnvoy, startEnvoy } from '../../parts/envoy.ts'
import { needs } from '../../parts/needs.ts'
import { above } from '../above.ts'
import { domain, id, newAuthority, newSvid, orders } from '../world.ts'
import { hold, serveWorkload } from './kit.ts'

/** A real Envoy that has its certificates and its roots from the socket alone. */

const test = needs('envoy')
let envoy: RunningEnvoy | undefined
afterEach(async () => {
  await envoy?.remove()
  envoy = undefined
})

const bootstrap = (socket: string, roots: string) => (port: number) => {
  const sds = (name: string) => ({
    name,
    sds_config: {
      resource_api_version: 'V3',
      api_config_source: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'writ' } }],
      },
    },
  })
  const v3 = 'type.googleapis.com/envoy.extensions'
  return {
    node: { id: 'test', cluster: 'test' },
    static_resources: {
      clusters: [
        {
          name: 'writ',
          connect_timeout: '2s',
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              '@type': `${v3}.upstreams.http.v3.HttpProtocolOptions`,
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
          load_assignment: {
            cluster_name: 'writ',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: socket } } } }] }],
          },
        },
      ],
      listeners: [
        {
          name: 'in',
          address: { socket_address: { address: '127.0.0.1', port_value: port } },
          filter_chains: [
            {
              transport_socket: {
                name: 'envoy.transport_sockets.tls',
                typed_config: {
                  '@type': `${v3}.transport_sockets.tls.v3.DownstreamTlsContext`,
                  require_client_certificate: true,
                  common_tls_context: {
                    tls_certificate_sds_secret_configs: [sds('default')],
                    validation_context_sds_secret_config: sds(roots),
                  },
                },
              },
              filters: [
                {
                  name: 'envoy.filters.network.http_connection_manager',
                  typed_config: {
                    '@type': `${v3}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
                    stat_prefix: 'in',
                    route_config: {
                      virtual_hosts: [
                        {
                          name: 'all',
                          domains: ['*'],
                          routes: [
                            {
                              match: { prefix: '/' },
                              direct_response: { status: 200, body: { inline_string: 'through' } },
                            },
                          ],
                        },
                      ],
                    },
                    http_filters: [
                      {
                        name: 'envoy.filters.http.router',
                        typed_config: { '@type': `${v3}.filters.http.router.v3.Router` },
                      },
                    ],
                  },
                },
              ],
            },
          ],
        },
      ],
    },
  }
}

/** One request over mTLS: the name and serial that Envoy shows, and what it answers. */
function get(
  port: number,
  svid: Svid,
): Promise<{ readonly shown: string; readonly serial: string; readonly answer: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      port,
      host: '127.0.0.1',
      key: svid.keyPem,
      cert: svid.chain.map((der) => pemOf(der, 'CERTIFICATE')).join(''),
      rejectUnauthorized: false,
    })
    let answer = ''
    let leaf: PeerCertificate
    socket.once('secureConnect', () => {
      leaf = socket.getPeerCertificate()
      socket.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
    })
    socket.setEncoding('utf8').on('data', (text: string) => {
      answer += text
    })
    socket.once('error', reject)
    socket.once('close', () => {
      resolve({
        shown: leaf.subjectaltname ?? '',
        serial: leaf.serialNumber.toLowerCase(),
        answer: answer.slice(0, 15),
      })
    })
  })
}

const ok = 'HTTP/1.1 200 OK'

test('Envoy serves mTLS with what it is given, and with the next certificate after a rotation', async () => {
  const authority = await newAuthority(undefined, Date.now, { upstream: above(Date.now) }) // A chain of three.
  const held = hold(authority)
  const { path } = await serveWorkload(held)
  envoy = await startEnvoy(bootstrap(path, 'ROOTCA'))
  const { port } = envoy
  const web = newSvid(authority, id('spiffe://bank.example/web'))
  const serial = (): string => held.current().svids[0]!.svid.serial

  const first = serial()
  await vi.waitFor(async () => {
    expect(await get(port, web)).toEqual({ shown: `URI:${orders}`, serial: first, answer: ok })
  }, 20_000)
  for (const _ of ['one rotation', 'and another']) {
    const before = serial()
    held.rotate()
    expect(serial()).not.toBe(before)
    await vi.waitFor(async () => {
      expect(await get(port, web)).toEqual({ shown: `URI:${orders}`, serial: serial(), answer: ok })
    }, 20_000)
  }
})

test('Envoy takes callers of a federated domain by its own roots, which vouch for no other domain', async () => {
  const bank = await newAuthority(undefined, Date.now)
  const other = await newAuthority(domain('other.example'), Date.now)
  const held = hold(bank)
  const { path } = await serveWorkload(held)
  envoy = await startEnvoy(bootstrap(path, 'ALL'))
  const { port } = envoy
  const theirs = newSvid(other, id('spiffe://other.example/x'))
  await vi.waitFor(async () => {
    expect((await get(port, newSvid(bank, id('spiffe://bank.example/web')))).answer).toBe(ok)
  }, 20_000)
  await expect(get(port, theirs)).rejects.toThrow()
  held.trust(other.bundle())
  await vi.waitFor(async () => expect((await get(port, theirs)).answer).toBe(ok), 20_000)
  // A bundle of one domain under the name of the other: what its root signed is no name of ours.
  held.trust({ ...other.bundle(), trustDomain: domain('third.example') })
  await vi.waitFor(() => expect(get(port, theirs)).rejects.toThrow(), 20_000)
})
