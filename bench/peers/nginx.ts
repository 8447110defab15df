/** nginx as a peer: the upstream of every run, and a reverse proxy tuned as its own documentation advises. */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type RunningNginx, startNginx } from '../../test/parts/nginx.ts'
import type { Certificates } from '../certificates.ts'

/** Paths that are answered with bodies of 1 KB and 1 MB. */
export const bodyPaths = { kilobyte: '/orders/kilobyte', megabyte: '/orders/megabyte' }

/** Answers every request with 200 and a few bytes, but for `bodyPaths`. */
export const startUpstream = (before: readonly string[]): Promise<RunningNginx> =>
  startNginx({
    before,
    http: async (port, folder) => {
      await writeFile(join(folder, 'megabyte'), Buffer.alloc(1_000_000, 'x'))
      return `
  keepalive_requests 1000000000;
  sendfile on;
  server {
    listen 127.0.0.1:${port};
    location / { default_type application/json; return 200 '{"orders": []}'; }
    location = ${bodyPaths.kilobyte} { default_type text/plain; return 200 '${'x'.repeat(1000)}'; }
    location = ${bodyPaths.megabyte} { default_type text/plain; alias ${folder}/megabyte; }
  }`
    },
  })

/** With `tls`, callers must show a certificate of the issuer. Sessions are not resumed, as in the mesh. */
export const startNginxProxy = (options: {
  readonly upstreamPort: number
  readonly tls: Certificates | undefined
  readonly before: readonly string[]
  /** Whether callers may speak HTTP/2. Default not. */
  readonly http2?: boolean
}): Promise<RunningNginx> => {
  const { upstreamPort, tls, before, http2 } = options
  const mutual = tls
    ? `
    ssl_certificate ${tls.server.cert};
    ssl_certificate_key ${tls.server.key};
    ssl_client_certificate ${tls.roots};
    ssl_verify_client on;
    ssl_protocols TLSv1.3;
    ssl_session_tickets off;
    ssl_session_cache off;`
    : ''
  return startNginx({
    before,
    connections: 16_384,
    http: (port) => `
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  upstream app { server 127.0.0.1:${upstreamPort}; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port}${tls ? ' ssl' : ''}${http2 ? ' http2' : ''};${mutual}
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
    }
  }`,
  })
}
