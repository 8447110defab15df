import { execFile } from 'node:child_process'
import { expect } from 'vitest'
import { needs, pathOf } from '../../parts/needs.ts'
import { makeCa, makeSource, ok, outbound, service, startAnswering, startProxy, web } from './kit.ts'

const test = needs('h2spec')
const ca = makeCa()

test('h2spec, strict, passes against a listener', async () => {
  const app = await startAnswering(ok('hello'))
  const services = [service('orders', app.port, undefined, '127.0.0.1')]
  const source = makeSource(ca.issue(web), ca)
  const { port } = await startProxy({ source, listener: outbound(), services })
  const said = await new Promise<string>((resolve) => {
    execFile(pathOf('h2spec'), ['--strict', '-h', '127.0.0.1', '-p', String(port)], (_, out) => resolve(out))
  })
  if (process.env['H2SPEC_SHOW']) console.log(said)
  expect(said).toMatch(/\d+ tests, \d+ passed, 0 skipped, 0 failed/)
})
