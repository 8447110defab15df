/**
 * Messages by chance through a proxy's socket: `npm run fuzz:messages` sends a million. None may crash or hang it, each
 * decision goes upstream as the message that was judged or not at all, and each refusal has a record.
 */

import { connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import type { RecordSink } from '../../../core/ports.ts'
import type { DecisionBody, RecordId } from '../../../core/record.ts'
import { makeCa, makeSource, outbound, service, startProxy, web } from '../node/kit.ts'
import { makeFrames } from './frames.ts'
import { makeMessage } from './generate.ts'
import { seeded } from './random.ts'
import { type Seen, startStrictApp } from './strict-app.ts'

const count = Number(process.env['FUZZ'] ?? 1500)
const seed = Number(process.env['SEED'] ?? 1)
const atOnce = 200
/** The proxy's own limits are far below: whoever has not been answered or cut by then hangs. */
const hangMs = 60_000

/** Method and path, as the record has them. */
function asked(input: unknown): string {
  const { http } = (input as { attributes: { request: { http: { method: string; path: string } } } }).attributes.request
  return `${http.method} ${http.path}`
}

/** Keeps what was judged until it is seen upstream. */
function makeJudged() {
  const judged = new Map<string, string>()
  const tally = { refused: 0, routed: 0, forwarded: 0, strange: [] as string[] }
  let seq = 0
  const sink: RecordSink = {
    async keep(body) {
      const { code, request_id: id, input } = body as DecisionBody
      if (code === 'routed') judged.set(id, asked(input))
      tally[code === 'routed' ? 'routed' : 'refused']++
      return { producer: web, epoch: 'a'.repeat(24), seq: ++seq } as RecordId
    },
    outcome: () => {},
    refused: () => {},
  }
  const onSeen = ({ id, method, target }: Seen): void => {
    tally.forwarded++
    const was = judged.get(id)
    judged.delete(id)
    if (was !== `${method} ${target.split('?')[0]}`) tally.strange.push(`${was} went as ${method} ${target}`)
  }
  const sweep = (): void => {
    for (const id of judged.keys()) if (judged.size > 10_000) judged.delete(id) // Of bodies that never became whole.
  }
  return { sink, tally, onSeen, sweep }
}

test(`${count} messages by chance neither crash nor hang a proxy, nor go upstream as anything else`, {
  timeout: 6 * 3_600_000,
}, async () => {
  const { sink, tally, onSeen, sweep } = makeJudged()
  const app = await startStrictApp(onSeen)
  onTestFinished(() => app.close())
  const ca = makeCa()
  const { port, proxy } = await startProxy({
    ...{ source: makeSource(ca.issue(web), ca), listener: outbound(), services: [service('orders', app.port)] },
    limits: { headMs: 200, bodyMs: 200, idleMs: 200, stallMs: 200 },
    more: { sink: () => sink },
  })
  const random = seeded(seed)
  let sent = 0
  let answers = 0
  const worker = async (number: number): Promise<void> => {
    while (sent < count) {
      const which = sent++
      // What follows is a NUL: it ends the connection of a message that has been served or is not whole.
      const bytes = random.oneIn(8) ? makeFrames(random) : Buffer.from(`${makeMessage(random)}\0\r\n\r\n`, 'latin1')
      const text = await said(port, number, bytes, `message ${which} of seed ${seed}`)
      answers += text.match(/HTTP\/1\.1 [2-5]\d\d /g)?.length ?? 0
      if (which % 10_000 === 9999) {
        sweep()
        if (count > 10_000) process.stderr.write(`${which + 1} ${JSON.stringify({ ...tally, answers })}\n`)
      }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, (_, number) => worker(number)))
  process.stderr.write(`seed ${seed}, ${sent} messages: ${JSON.stringify({ ...tally, answers })}\n`)
  expect(app.odd).toEqual([])
  expect(tally.strange).toEqual([])
  expect(tally.routed).toBeGreaterThan(count / 10)
  expect(tally.refused).toBeGreaterThan(count / 10)
  expect(tally.forwarded).toBeGreaterThan(tally.routed / 2)
  expect(answers).toBeGreaterThan(count / 2)
  expect(answers).toBeLessThanOrEqual(tally.routed + tally.refused) // None without a record.
  await expect.poll(() => proxy.stats().listeners[0]!.connections, { timeout: 10_000 }).toBe(0)
})

/** Everything that came until the proxy closed. Ports of one address would be used up by so many connections. */
const said = (port: number, number: number, bytes: Buffer, what: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let all = ''
    const socket = connect({ port, host: '127.0.0.1', localAddress: `127.0.0.${2 + number}` }, () =>
      socket.write(bytes),
    )
    const hangs = setTimeout(() => reject(new Error(`${what} hangs: ${bytes.toString('base64')}`)), hangMs)
    socket.setEncoding('latin1').on('data', (text: string) => {
      all += text
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(hangs)
      resolve(all)
    })
  })
