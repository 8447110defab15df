import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { type DnsOptions, openDns } from '../../../proxy/node/dns.ts'

/** Two servers: of this host, and, behind it, another one that knows a name by itself. */
async function start(options: Partial<DnsOptions> = {}) {
  const asked: string[] = []
  const behind = await openDns({
    ...{ address: '127.0.0.1', port: 0, upstreams: [] },
    find(name) {
      asked.push(name)
      return name === 'example.org' ? '192.0.2.9' : undefined
    },
  })
  const upstreams = [{ address: '127.0.0.1', port: behind.port }]
  const known = new Map([['orders', '127.64.1.2']])
  const dns = await openDns({ address: '127.0.0.1', port: 0, find: (name) => known.get(name), upstreams, ...options })
  onTestFinished(async () => {
    await dns.close()
    await behind.close()
  })
  const resolver = new Resolver({ timeout: 4000, tries: 1 })
  resolver.setServers([`127.0.0.1:${dns.port}`])
  return { asked, behind, dns, known, resolver }
}

/** A question in a frame of TCP. */
const framedFor = (name: string, type = 1): Buffer => {
  const labels = name.split('.').map((one) => String.fromCharCode(one.length) + one)
  const text = `\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00${labels.join('')}\x00\x00${String.fromCharCode(type)}\x00\x01`
  return Buffer.from(String.fromCharCode(0, text.length) + text, 'latin1')
}

test('names of the mesh have their address, and none of IPv6; what is asked of others goes on, and comes back', async () => {
  const { asked, known, resolver } = await start()
  expect(await resolver.resolve4('Orders', { ttl: true })).toEqual([{ address: '127.64.1.2', ttl: 5 }])
  await expect(resolver.resolve6('orders')).rejects.toMatchObject({ code: 'ENODATA' })
  expect(asked).toEqual([])
  expect(await resolver.resolve4('example.org')).toEqual(['192.0.2.9'])
  known.delete('orders') // As with a newer snapshot.
  await expect(resolver.resolve4('orders')).rejects.toMatchObject({ code: 'ESERVFAIL' })
  expect(asked).toEqual(['example.org', 'orders'])
})

test('the same over TCP, several questions on one connection; what is no question ends it', async () => {
  const { dns } = await start()
  const socket = connect(dns.port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  let heard = Buffer.alloc(0)
  socket.on('data', (bytes) => {
    heard = Buffer.concat([heard, bytes])
  })
  const both = Buffer.concat([framedFor('orders'), framedFor('example.org')])
  socket.write(both.subarray(0, 9))
  await new Promise(setImmediate)
  socket.write(both.subarray(9))
  await expect.poll(() => heard.toString('latin1')).toContain('\x7f\x40\x01\x02')
  await expect.poll(() => heard.toString('latin1')).toContain('\xc0\x00\x02\x09')
  expect(heard.readUInt16BE(2)).toBe(7)
  socket.write('\x00\x02ab')
  await once(socket, 'close')
})

test('a resolver that is silent has its time, then the next is asked; too many that wait are told so', async () => {
  const silent = createServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void silent.close())
  const { port } = silent.address() as { port: number } // Of UDP nobody listens there either.
  const { behind } = await start()
  const upstreams = [
    { address: '127.0.0.1', port },
    { address: '127.0.0.1', port: behind.port },
  ]
  const { resolver } = await start({ upstreams, upstreamMs: 100 })
  expect(await resolver.resolve4('example.org')).toEqual(['192.0.2.9'])
  const full = await start({ pending: 0 })
  await expect(full.resolver.resolve4('example.org')).rejects.toMatchObject({ code: 'ESERVFAIL' })
  expect(await full.resolver.resolve4('orders')).toEqual(['127.64.1.2'])
})

test('a port that is taken is said with its cure', async () => {
  const { dns } = await start()
  const again = openDns({ address: '127.0.0.1', port: dns.port, find: () => undefined, upstreams: [] })
  await expect(again).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('answer names') })
})
