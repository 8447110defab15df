/** A time stamp authority over HTTP (RFC 3161), made of `openssl ts` with a certificate of its own. Needs openssl. */

import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { pathOf } from './needs.ts'

const openssl = (...args: string[]) => promisify(execFile)(pathOf('openssl'), args)

const config = (dir: string): string => `
[ tsa ]
default_tsa = here
[ here ]
serial = ${dir}/serial
signer_cert = ${dir}/tsa.pem
signer_key = ${dir}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
ess_cert_id_alg = sha256
[ req ]
distinguished_name = name
x509_extensions = stamping
prompt = no
[ name ]
CN = Time
[ stamping ]
basicConstraints = critical, CA:TRUE
extendedKeyUsage = critical, timeStamping
`

export interface Authority {
  readonly url: string
  /** PEM file of its certificate. */
  readonly ca: string
  /** How many it answered. */
  readonly answered: () => number
  /** What it answers from now on instead of stamping. */
  answer(status: number, body?: Uint8Array): void
  close(): Promise<void>
}

export async function openAuthority(): Promise<Authority> {
  const dir = await mkdtemp(join(tmpdir(), 'writ-tsa-'))
  await writeFile(join(dir, 'config'), config(dir))
  await writeFile(join(dir, 'serial'), '01\n')
  await openssl(
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-config', join(dir, 'config')],
    ...['-keyout', join(dir, 'tsa.key'), '-out', join(dir, 'tsa.pem')],
  )
  let answered = 0
  let instead: { readonly status: number; readonly body: Uint8Array } | undefined
  let turn: Promise<unknown> = Promise.resolve()
  const stamp = async (query: Buffer): Promise<Buffer> => {
    const file = join(dir, `query-${answered++}`)
    await writeFile(file, query)
    await openssl('ts', '-reply', '-config', join(dir, 'config'), '-queryfile', file, '-out', `${file}.tsr`)
    return readFile(`${file}.tsr`)
  }
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request
      .on('data', (chunk: Buffer) => chunks.push(chunk))
      .on('end', () => {
        if (instead) {
          response.writeHead(instead.status).end(instead.body)
          return
        }
        turn = turn
          .then(() => stamp(Buffer.concat(chunks)))
          .then(
            (reply) => response.writeHead(200, { 'content-type': 'application/timestamp-reply' }).end(reply),
            () => response.writeHead(500).end(),
          )
      })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    ca: join(dir, 'tsa.pem'),
    answered: () => answered,
    answer: (status, body = new Uint8Array(0)) => {
      instead = { status, body }
    },
    close: async () => {
      await new Promise((resolve) => {
        server.close(resolve)
        server.closeAllConnections()
      })
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** Does openssl, which trusts `ca`, say that the file is stamped by this token? */
export const opensslVerifies = (ca: string, data: string, token: string): Promise<boolean> =>
  openssl('ts', '-verify', '-data', data, '-in', token, '-CAfile', ca).then(
    () => true,
    () => false,
  )
