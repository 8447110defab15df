/** `writ up`: a whole mesh in one process, from one file. */

import { Command } from 'commander'
import { drillHelp, duration, hostAndPort, number } from './options.ts'
import { until } from './signals.ts'
import { readMesh } from './wire/config.ts'
import { federationOf, webPlace } from './wire/federation.ts'
import { printEvents } from './wire/telemetry.ts'
import { openUp } from './wire/up.ts'

interface Options {
  readonly file: string
  readonly state: string
  readonly policies: string
  readonly page?: number
  readonly listen?: { readonly address: string; readonly port: number }
  readonly collector?: { readonly address: string; readonly port: number }
  readonly signer?: string
  readonly secrets?: string
  readonly federation?: { readonly address: string; readonly port: number }
  readonly federationCert?: string
  readonly auditors?: { readonly address: string; readonly port: number }
  readonly auditorsCert?: string
  readonly drillEvery?: number
}

export function upCommand(): Command {
  return new Command('up')
    .description('run a whole mesh in this process: issuer, control, log, page and the sidecar of every workload')
    .requiredOption('-f, --file <mesh.yaml>', 'the mesh file')
    .option('--state <dir>', 'where keys, spool and log live; mode 0700', '.writ')
    .option('--policies <dir>', 'compiled policies: <dir>/<bundle>/bundle.tar.gz', 'policies')
    .option('--page <port>', 'port of the page on loopback; default a free one', number)
    .option(
      '--listen <host:port>',
      'where workloads outside this process join; default a free port on loopback',
      hostAndPort,
    )
    .option(
      '--collector <host:port>',
      'where edge functions hand in records: plain HTTP on loopback, behind a TLS terminator; default nowhere',
      hostAndPort,
    )
    .option(
      '--secrets <dir>',
      'certificates of gateways: <dir>/<name>/tls.crt, tls.key, ca.crt (default: <state>/secrets)',
    )
    .option(
      '--federation <host:port>',
      'serve our trust bundle there to everybody, with our SVID (https_spiffe); default nowhere',
      hostAndPort,
    )
    .option('--federation-cert <dir>', 'with a certificate of the Web PKI instead (https_web): tls.crt and tls.key')
    .option(
      '--auditors <host:port>',
      'let outside auditors in there who have a grant (HTTPS); default nowhere',
      hostAndPort,
    )
    .option('--auditors-cert <dir>', 'with a certificate of the Web PKI: tls.crt and tls.key (default: our SVID)')
    .option('--signer <socket>', 'have `writ signer` sign, at this socket (default: this process holds the key)')
    .option('--drill-every <time>', `${drillHelp} (default: never)`, duration)
    .action(async (options: Options) => {
      const onEvent = printEvents()
      const stop = until('SIGINT', 'SIGTERM', 'SIGHUP')
      const up = await openUp({
        mesh: await readMesh(options.file),
        meshFile: options.file,
        state: options.state,
        policiesDir: options.policies,
        ...(options.page === undefined ? {} : { pagePort: options.page }),
        ...(options.listen === undefined ? {} : { listen: options.listen }),
        ...(options.collector === undefined ? {} : { collector: options.collector }),
        federation: await federationOf(options),
        auditors: await webPlace(options.auditors, options.auditorsCert),
        ...(options.signer === undefined ? {} : { signerSocket: options.signer }),
        ...(options.secrets === undefined ? {} : { secretsDir: options.secrets }),
        drillEveryMs: options.drillEvery,
        onEvent,
      })
      try {
        const { door, collector, bundleDoor } = up.control
        const lines = [
          ...up.sidecars.flatMap(({ proxy }) => proxy.listeners().map((it) => `listening  ${it.name} :${it.port}`)),
          ...(collector ? [`collector  http://${collector.address}:${collector.port}`] : []),
          ...(bundleDoor ? [`bundle     https://${bundleDoor.address}:${bundleDoor.port}`] : []),
          ...(up.auditorsDoor ? [`auditors   https://${up.auditorsDoor.address}:${up.auditorsDoor.port}`] : []),
          `mesh door  https://${door.address}:${door.port}`,
          `log key    ${up.verifierKey}`,
          `page       ${up.pageUrl}`,
        ]
        process.stdout.write(`${lines.join('\n')}\n`)
        await stop.wait()
      } finally {
        await up.close()
      }
    })
}
