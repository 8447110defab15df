/**
 * Envoy as a peer, as its own page on benchmarks asks: one worker, no circuit breaking, no request ids, no statistics of
 * routers. Alone, with the policy as an RBAC filter, with access logs over gRPC, or asking OPA by ext_authz.
 */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type RunningEnvoy, startEnvoy } from '../../test/parts/envoy.ts'
import type { Certificates } from '../certificates.ts'

export interface EnvoyOptions {
  readonly upstreamPort: number
  /** What the upstream speaks. Default HTTP/1.1. */
  readonly upstreamProtocol?: 'h2c' | undefined
  /** Callers must show a certificate of the issuer; sessions are not resumed, as in the mesh. Undefined is plain. */
  readonly tls: Certificates | undefined
  /** Whether the policy is asked as an RBAC filter. Default not. */
  readonly rbac?: boolean
  /** Port of who takes access logs. Default there are none. */
  readonly accessLogsTo?: number | undefined
  /** Port of who is asked by ext_authz. Default nobody is. */
  readonly authorizer?: number | undefined
  /** In front of the command, to pin it. */
  readonly before: readonly string[]
}

export async function startEnvoyProxy(options: EnvoyOptions): Promise<RunningEnvoy> {
  const policy = options.rbac ? await rbacFilter() : undefined
  return startEnvoy((port) => bootstrap(port, options, policy), options.before)
}

const type = (name: string): string => `type.googleapis.com/envoy.${name}`

function bootstrap(port: number, options: EnvoyOptions, policy: object | undefined): object {
  const { upstreamPort, upstreamProtocol, accessLogsTo, authorizer, tls } = options
  const clusters = [cluster('app', upstreamPort, upstreamProtocol === 'h2c')]
  if (accessLogsTo !== undefined) clusters.push(cluster('logs', accessLogsTo, true))
  if (authorizer !== undefined) clusters.push(cluster('authorizer', authorizer, true))
  return {
    static_resources: {
      listeners: [
        {
          name: 'inbound',
          address: addressOf(port),
          filter_chains: [{ filters: [manager(options, policy)], ...(tls && { transport_socket: mutualTls(tls) }) }],
        },
      ],
      clusters,
    },
  }
}

const addressOf = (port: number): object => ({ socket_address: { address: '127.0.0.1', port_value: port } })

function manager({ accessLogsTo, authorizer }: EnvoyOptions, policy: object | undefined): object {
  const asked = authorizer === undefined ? [] : [authorization]
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      '@type': type('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
      stat_prefix: 'inbound',
      codec_type: 'AUTO',
      generate_request_id: false,
      route_config: {
        virtual_hosts: [
          { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'app' } }] },
        ],
      },
      http_filters: [...(policy ? [policy] : []), ...asked, router],
      ...(accessLogsTo !== undefined && { access_log: [accessLog] }),
    },
  }
}

const router = {
  name: 'envoy.filters.http.router',
  typed_config: { '@type': type('extensions.filters.http.router.v3.Router'), dynamic_stats: false },
}

const authorization = {
  name: 'envoy.filters.http.ext_authz',
  typed_config: {
    '@type': type('extensions.filters.http.ext_authz.v3.ExtAuthz'),
    transport_api_version: 'V3',
    grpc_service: { envoy_grpc: { cluster_name: 'authorizer' }, timeout: '5s' },
  },
}

const accessLog = {
  name: 'envoy.access_loggers.http_grpc',
  typed_config: {
    '@type': type('extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig'),
    common_config: {
      log_name: 'bench',
      transport_api_version: 'V3',
      grpc_service: { envoy_grpc: { cluster_name: 'logs' } },
    },
  },
}

/** The policy of bench/policy in Envoy's own words. */
async function rbacFilter(): Promise<object> {
  const data = JSON.parse(await readFile(join(import.meta.dirname, '../policy/data.json'), 'utf8')) as {
    readonly bench: { readonly callers: readonly string[] }
  }
  const method = { header: { name: ':method', string_match: { exact: 'GET' } } }
  const path = { url_path: { path: { prefix: '/orders/' } } }
  const principals = data.bench.callers.map((exact) => ({ authenticated: { principal_name: { exact } } }))
  return {
    name: 'envoy.filters.http.rbac',
    typed_config: {
      '@type': type('extensions.filters.http.rbac.v3.RBAC'),
      rules: { policies: { callers: { permissions: [{ and_rules: { rules: [method, path] } }], principals } } },
    },
  }
}

function mutualTls({ server, roots }: Certificates): object {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': type('extensions.transport_sockets.tls.v3.DownstreamTlsContext'),
      require_client_certificate: true,
      disable_stateless_session_resumption: true,
      disable_stateful_session_resumption: true,
      common_tls_context: {
        tls_params: { tls_minimum_protocol_version: 'TLSv1_3' },
        alpn_protocols: ['h2', 'http/1.1'],
        tls_certificates: [{ certificate_chain: { filename: server.cert }, private_key: { filename: server.key } }],
        validation_context: { trusted_ca: { filename: roots } },
      },
    },
  }
}

const most = 1_000_000_000

function cluster(name: string, port: number, http2: boolean): object {
  const protocol = http2 ? { http2_protocol_options: {} } : { http_protocol_options: {} }
  const limits = { max_connections: most, max_pending_requests: most, max_requests: most, max_retries: most }
  return {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    circuit_breakers: { thresholds: [limits] },
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: addressOf(port) } }] }],
    },
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': type('extensions.upstreams.http.v3.HttpProtocolOptions'),
        explicit_http_config: protocol,
      },
    },
  }
}
