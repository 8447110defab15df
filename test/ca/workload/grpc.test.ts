import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { newAuthority } from '../world.ts'
import { hold, serveWorkload } from './kit.ts'

/** Callers of the socket that speak no gRPC, or badly: each is answered or cut off, and the next one is served. */

const headers = { ':method': 'POST', ':path': '/SpiffeWorkloadAPI/FetchX509SVID', 'content-type': 'application/grpc' }

/** The status of one call whose body is these bytes. */
function call(path: string, body: Uint8Array, more: Record<string, string> = {}): Promise<string> {
  return new Promise((resolve) => {
    const session = connectHttp2('http://localhost', { createConnection: () => connect(path) })
    const stream = session.request({ ...headers, 'workload.spiffe.io': 'true', ...more })
    let status = ''
    stream.on('response', (given) => {
      status = String(given['grpc-status'] ?? given[':status'])
      if (given['grpc-status'] === undefined && given[':status'] === 200) stream.close() // It has sent a state.
    })
    stream.on('error', () => {})
    stream.once('close', () => {
      session.destroy()
      resolve(status)
    })
    stream.resume()
    stream.end(Buffer.from(body))
  })
}

const message = (bytes: readonly number[], flag = 0, length = bytes.length): Uint8Array =>
  new Uint8Array([flag, 0, 0, length >> 8, length & 255, ...bytes])

test('a message that is compressed, too long, cut short or none is refused with its status', async () => {
  const { path } = await serveWorkload(hold(await newAuthority(undefined, Date.now)))
  expect(await call(path, message([]))).toBe('200')
  expect(await call(path, message([], 1))).toBe('12')
  expect(await call(path, new Uint8Array([0, 0, 255, 255, 255]))).toBe('8')
  expect(await call(path, message([1, 2], 0, 9))).toBe('3')
  expect(await call(path, new Uint8Array())).toBe('3')
  expect(await call(path, message([0xff]))).toBe('3')
  expect(await call(path, message([]), { 'content-type': 'text/plain' })).toBe('415')
})

test('whatever bytes come on the socket, the next caller is served', async () => {
  const { path } = await serveWorkload(hold(await newAuthority(undefined, Date.now)))
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.uint8Array({ maxLength: 64 }), async (greets, bytes) => {
      const socket = connect(path)
      socket.on('error', () => {})
      socket.resume()
      await new Promise<void>((resolve) => {
        socket.once('close', () => resolve())
        socket.end(Buffer.concat([greets ? preface : Buffer.alloc(0), bytes]))
      })
    }),
    { numRuns: 50 },
  )
  expect(await call(path, message([]))).toBe('200')
})
