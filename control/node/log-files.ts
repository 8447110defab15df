/** The files of a log over HTTP, as C2SP tlog-tiles asks for them: its types, what may be kept, and gzip for bundles. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { unpack } from '../../audit/node/packed.ts'
import { WritError } from '../../core/fault.ts'
import { closeServer, type DoorLimits, doorApp, listen, serverTimes, type Unexpected } from './http.ts'

/** A file of the log as it lies there, by its path: `0/checkpoint`, `0/tile/0/000`, `0/tile/entries/000.gz`. */
export type StoredFile = (path: string) => Promise<Uint8Array | undefined>

const shard = String.raw`(?:0|[1-9]\d{0,5})`
/** Indices in groups of three; widths from 1 to 255. */
const index = String.raw`(?:x\d{3}\/)*\d{3}`
const width = String.raw`(?:\.p\/(?:[1-9]\d?|1\d\d|2[0-4]\d|25[0-5]))?`
const level = String.raw`(?:\d|[1-5]\d|6[0-3])`

const mutable = new RegExp(String.raw`^${shard}\/checkpoint(?:\.witnessed)?$`)
const note = new RegExp(String.raw`^${shard}\/timestamps\/\d{6}\.note$`)
const bytes = new RegExp(
  String.raw`^${shard}\/(?:timestamps\/\d{6}\.tsr|tile\/(?:${level}|entries)\/${index}${width})$`,
)
const wholeBundle = new RegExp(String.raw`^${shard}\/tile\/entries\/${index}$`)

/** Throws `not_found`, which nobody keeps: what is not there yet may be in a second. */
export async function logFile(path: string, file: StoredFile, acceptEncoding: string | undefined): Promise<Response> {
  const isText = mutable.test(path) || note.test(path)
  const isKnown = isText || bytes.test(path)
  const packed = isKnown && wholeBundle.test(path) ? await file(`${path}.gz`) : undefined
  const plain = packed || !isKnown ? undefined : await file(path)
  if (!packed && !plain) throw new WritError('not_found', `the log has no file ${path}`)
  const gzip = packed !== undefined && takesGzip(acceptEncoding)
  const body = gzip ? packed : (plain ?? (await unpack(packed!)))
  return new Response(new Uint8Array(body), {
    headers: {
      'content-type': isText ? 'text/plain; charset=utf-8' : 'application/octet-stream',
      'cache-control': mutable.test(path) ? 'no-store' : 'max-age=31536000, immutable',
      ...(gzip && { 'content-encoding': 'gzip' }),
      ...(wholeBundle.test(path) && { vary: 'accept-encoding' }),
    },
  })
}

/** Plain HTTP, for readers without a certificate of the mesh: what passes is signed, and whoever may connect may read. */
export async function openFilesDoor(
  file: StoredFile,
  where: { readonly address: string; readonly port: number },
  unexpected: Unexpected,
  limits: DoorLimits = {},
): Promise<{ readonly url: string; close(): Promise<void> }> {
  const app = doorApp(unexpected)
  app.get('/*', (c) => logFile(c.req.path.slice(1), file, c.req.header('accept-encoding')))
  const server = createServer(serverTimes(limits), getRequestListener(app.fetch, { overrideGlobalObjects: false }))
  server.maxConnections = limits.connections ?? 256
  await listen(server, where)
  const { address, port } = server.address() as AddressInfo
  return {
    url: `http://${address.includes(':') ? `[${address}]` : address}:${port}`,
    close: () => closeServer(server),
  }
}

/** RFC 9110 section 12.5.3: whoever says nothing takes anything. */
function takesGzip(accept: string | undefined): boolean {
  if (accept === undefined) return true
  const weights = new Map(
    accept
      .toLowerCase()
      .split(',')
      .map((part) => {
        const [coding = '', ...rest] = part.split(';').map((word) => word.trim())
        return [coding, !rest.some((word) => /^q=0(?:\.0{0,3})?$/.test(word))] as const
      }),
  )
  return weights.get('gzip') ?? weights.get('x-gzip') ?? weights.get('*') ?? false
}
