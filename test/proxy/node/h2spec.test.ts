import { execFile } from 'node:child_process'
import { stripVTControlCharacters } from 'node:util'
import { expect } from 'vitest'
import { needs, pathOf } from '../../parts/needs.ts'
import { makeCa, makeSource, ok, outbound, service, startApp, startProxy, web } from './kit.ts'

const test = needs('h2spec')
const ca = makeCa()

/** It is read as HTTP/1.1, answered 400 and closed: docs/PROTOCOLS.md. */
const known = ['Sends invalid connection preface']

test('h2spec, strict, finds nothing against a listener but what is known', async () => {
  // An answer that overtakes the second of two frames ends the stream before its fault is seen.
  const app = await startApp((_, socket) => void setTimeout(() => socket.write(ok('hello'), 'latin1'), 50))
  const services = [service('orders', app.port, undefined, '127.0.0.1')]
  const source = makeSource(ca.issue(web), ca)
  const { port } = await startProxy({ source, listener: outbound(), services })
  const said = await new Promise<string>((resolve) => {
    execFile(pathOf('h2spec'), ['--strict', '-h', '127.0.0.1', '-p', String(port)], (_, out) => resolve(out))
  })
  const text = stripVTControlCharacters(said)
  expect(text).toMatch(/146 tests, \d+ passed, 0 skipped, \d+ failed/)
  const failures = [...text.slice(text.indexOf('Failures:')).matchAll(/× \d+: (.+)/g)].map(([, name]) => name!.trim())
  expect(failures).toEqual(known)
})
