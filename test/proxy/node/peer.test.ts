import { connect, createServer, type TLSSocket } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { chainOf } from '../../../ca/node/https.ts'
import { peers } from '../../../control/node/peer.ts'
import type { Evidence, Peer } from '../../../core/identity.ts'
import { makeKnownLeaves } from '../../../proxy/node/known-leaves.ts'
import { peerOf } from '../../../proxy/node/peer.ts'
import { serverTls } from '../../../proxy/node/tls.ts'
import {
  believe,
  call,
  callerTls,
  eventually,
  get,
  inbound,
  makeCa,
  makeSource,
  ok,
  orders,
  startAnswering,
  startProxy,
  web,
} from './kit.ts'

const ca = makeCa()
const source = makeSource(ca.issue(orders), ca)
const webBelow = ca.issueBelow(web)

/** The server's end of a handshake with `webBelow`. */
async function handshake(): Promise<TLSSocket> {
  const { promise, resolve } = Promise.withResolvers<TLSSocket>()
  const server = createServer({ ...serverTls(source.current()), ALPNProtocols: ['http/1.1'] }, resolve)
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const { port } = server.address() as { port: number }
  const client = connect({ port, host: '127.0.0.1', checkServerIdentity: () => undefined, ...callerTls(webBelow, ca) })
  onTestFinished(() => {
    client.destroy()
    server.close()
  })
  return promise
}

const chainIn = (evidence: Evidence): readonly Uint8Array[] => (evidence.kind === 'x509' ? evidence.chain : [])

test.each<[string, (socket: TLSSocket) => readonly Uint8Array[]]>([
  ['of a proxy', (socket) => chainIn((peerOf(socket) as { peer: Peer }).peer.evidence)],
  ['of a door of control', (socket) => chainIn(peers()(socket).evidence)],
  ['of a client of control', chainOf],
])('the chain %s is whole, and is still there for who asks once more', async (_, read) => {
  const socket = await handshake()
  const expected = webBelow.chain.map((one) => Buffer.from(one))
  // Issuers that are gone the second time were taken off OpenSSL's list, and nobody frees them.
  for (let i = 0; i < 2; i++) expect(read(socket).map((one) => Buffer.from(one))).toEqual(expected)
})

test('what a known leaf comes with is not looked at again, and another leaf is', async () => {
  const socket = await handshake()
  const kept: Evidence = { kind: 'x509', chain: webBelow.chain }
  const asked: Uint8Array[] = []
  const known = (evidence?: Evidence) =>
    peerOf(socket, (leaf) => {
      asked.push(leaf)
      return evidence
    }) as { peer: Peer }
  expect(known(kept).peer.evidence).toBe(kept)
  expect(known().peer).toMatchObject({ address: '127.0.0.1', port: socket.remotePort })
  expect(chainIn(known().peer.evidence)).toHaveLength(2)
  expect(asked.every((leaf) => Buffer.from(webBelow.chain[0]!).equals(leaf))).toBe(true)
})

test('a leaf is known to the last bit, until a certificate of its chain ends or trust changes', () => {
  const leaves = makeKnownLeaves()
  const [leaf] = webBelow.chain
  const evidence: Evidence = { kind: 'x509', chain: webBelow.chain }
  leaves.keep({ evidence, address: '', port: 0 }, 1000)
  expect(leaves.find(new Uint8Array(leaf!), 1000)).toBe(evidence)
  expect(leaves.find(leaf!, 1001)).toBeUndefined()
  const bent = new Uint8Array(leaf!)
  bent[100]! ^= 1
  expect(leaves.find(bent, 1000)).toBeUndefined()
  leaves.clear()
  expect(leaves.find(leaf!, 1000)).toBeUndefined()
})

test('a caller that connects again shares what it showed before, and is judged again', async () => {
  const app = await startAnswering(ok('here'))
  const changing = makeSource(ca.issue(orders), ca)
  const judged: Evidence[] = []
  let allowed = true
  const { port } = await startProxy({
    ...{ source: changing, listener: inbound(app.port) },
    more: {
      identify: () => (peer, nowMs) => {
        judged.push(peer.evidence)
        return allowed ? believe(changing)(peer, nowMs) : { ok: false, code: 'identity_revoked', detail: '' }
      },
    },
  })
  const ask = async (): Promise<string> => {
    const caller = call(port, callerTls(webBelow, ca))
    caller.send(get.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'))
    return caller.closed()
  }
  expect(await ask()).toContain('here')
  const first = judged.at(-1)
  expect(await ask()).toContain('here')
  expect(judged.at(-1)).toBe(first)
  changing.change({})
  expect(await ask()).toContain('here')
  const second = judged.at(-1)
  expect(second).not.toBe(first)
  expect(second).toEqual(first)
  allowed = false
  const before = judged.length
  expect(await ask()).toBe('')
  await eventually(() => judged.length > before)
})
