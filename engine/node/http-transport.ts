/** Sends what a policy asks by `http.send`, to the addresses that were checked and to no others. */

import { type LookupAddress, lookup } from 'node:dns'
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { concat } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { HttpTransport, IncomingResponse, OutgoingRequest } from '../http-send.ts'

/** Idle connections that are kept for the next request. */
const kept = { keepAlive: true, maxSockets: 64, maxFreeSockets: 8, timeout: 30_000 }

/** Addresses of a name. */
export type Resolve = (
  name: string,
  options: { readonly all: true; readonly family?: number | 'IPv4' | 'IPv6' | undefined },
  answer: (wrong: NodeJS.ErrnoException | null, found: LookupAddress[]) => void,
) => void

/** `resolve` is the system's own where it is left out. */
export function openHttpTransport(resolve: Resolve = lookup): HttpTransport {
  // Connections are apart by whether private addresses were allowed, since one that is kept is not looked up again.
  const agents = [false, true].map(() => ({ plain: new HttpAgent(kept), tls: new HttpsAgent(kept) }))
  return (outgoing) =>
    new Promise((done, fail) => {
      const { method, url, headers, body, signal, privateAddresses } = outgoing
      const { plain, tls } = agents[privateAddresses ? 1 : 0]!
      const named = isIP(url.hostname.replace(/^\[|\]$/g, '')) === 0 && url.hostname !== 'localhost'
      const lookup = named ? { lookup: lookupOf(resolve, privateAddresses) } : {} // An address that is allowed was named as one.
      const common = { method, headers, signal, ...lookup }
      const answered = (response: IncomingMessage): void => void readAll(response, outgoing).then(done, fail)
      const sending =
        url.protocol === 'https:'
          ? requestHttps(url, { ...common, agent: tls }, answered)
          : requestHttp(url, { ...common, agent: plain }, answered)
      sending.on('error', fail)
      sending.end(body)
    })
}

async function readAll(response: IncomingMessage, { maxBytes }: OutgoingRequest): Promise<IncomingResponse> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    length += chunk.length
    if (length > maxBytes) throw new Error(`its answer is longer than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  const headers: [string, string][] = []
  for (let i = 0; i + 1 < response.rawHeaders.length; i += 2) {
    headers.push([response.rawHeaders[i]!, response.rawHeaders[i + 1]!])
  }
  return {
    status: response.statusCode ?? 0,
    statusText: response.statusMessage ?? '',
    headers,
    body: concat(...chunks),
  }
}

/** Gives the addresses that the connection is then made to: nothing can change between the look and the connection. */
export const lookupOf =
  (resolve: Resolve, privateAddresses: boolean): LookupFunction =>
  (name, options, answer) =>
    resolve(name, { all: true, family: options.family }, (wrong, found) => {
      if (wrong) return answer(wrong, [])
      const refused = found.find(({ address }) => !mayBeAsked(address, privateAddresses))
      if (refused) return answer(forbidden(name, refused.address), [])
      if (options.all) return answer(null, found)
      const [first] = found
      return first ? answer(null, first.address, first.family) : answer(new Error(`${name} has no address`), [])
    })

const forbidden = (name: string, address: string): WritError =>
  new WritError('forbidden', `${name} stands for ${address}, which is of this machine or of a private network`, {
    cure: 'Allow it with spec.http.privateAddresses, or name the address itself in spec.http.allow.',
  })

const listOf = (...nets: readonly string[]): BlockList => {
  const list = new BlockList()
  for (const net of nets) {
    const [address, length] = net.split('/') as [string, string]
    list.addSubnet(address, Number(length), address.includes(':') ? 'ipv6' : 'ipv4')
  }
  return list
}

/** RFC 1918, RFC 6598, RFC 4193. */
const privateNets = listOf('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7')

/** This machine, its link with the metadata of clouds, and what is no address of one machine elsewhere (RFC 6890). */
const neverNets = listOf(
  ...['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '192.0.0.0/24', '198.18.0.0/15', '224.0.0.0/4', '240.0.0.0/4'],
  ...['::/128', '::1/128', 'fe80::/10', 'fec0::/10', 'ff00::/8', '64:ff9b::/96', '64:ff9b:1::/48', '2002::/16'],
)

/** An IPv4 address in the form of IPv6 counts as what it is. */
export function mayBeAsked(address: string, privateAddresses: boolean): boolean {
  const family = isIP(address)
  if (family === 0) return false
  const type = family === 4 ? 'ipv4' : 'ipv6'
  return !neverNets.check(address, type) && (privateAddresses || !privateNets.check(address, type))
}
