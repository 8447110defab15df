/** nginx as a peer: the upstream of every run, and a reverse proxy tuned as its own documentation advises. */

import { type RunningNginx, startNginx } from '../../test/parts/nginx.ts'
import type { Certificates } from '../certificates.ts'

/** Answers every request with 200 and a few bytes. */
export const startUpstream = (before: readonly string[]): Promise<RunningNginx> =>
  startNginx({
    before,
    http: (port) => `
  keepalive_requests 1000000000;
  server {
    listen 127.0.0.1:${port};
    location / { default_type application/json; return 200 '{"orders": []}'; }
  }`,
  })

/** With `tls`, callers must show a certificate of the issuer. Sessions are not resumed, as in the mesh. */
export const startNginxProxy = (options: {
  readonly upstreamPort: number
  readonly tls: Certificates | undefined
  readonly before: readonly string[]
}): Promise<RunningNginx> => {
  const { upstreamPort, tls, before } = options
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
    http: (port) => `
  keepalive_requests 1000000000;
  upstream app { server 127.0.0.1:${upstreamPort}; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port}${tls ? ' ssl' : ''};${mutual}
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
    }
  }`,
  })
}
