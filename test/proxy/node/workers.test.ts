import { type AddressInfo, createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { runWorkers, type WorkerExit } from '../../../proxy/node/workers.ts'
import { call, eventually } from './kit.ts'

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** The process that answered, or 0 where none did. */
async function answeredBy(port: number): Promise<number> {
  const connection = call(port)
  connection.send('GET / HTTP/1.1\r\nHost: nobody\r\nConnection: close\r\n\r\n')
  const id = /x-request-id: ([0-9a-f]{8})/.exec(await connection.closed())?.[1]
  return id === undefined ? 0 : Number.parseInt(id, 16)
}

async function seen(port: number, wanted: number): Promise<Set<number>> {
  const pids = new Set<number>()
  for (let i = 0; i < 400 && pids.size < wanted; i++) {
    const pid = await answeredBy(port)
    if (pid !== 0) pids.add(pid)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return pids
}

test('two workers share a port; one is killed, requests go on, and it comes back', async () => {
  const port = await freePort()
  const exits: WorkerExit[] = []
  const workers = await runWorkers({
    count: 2,
    here: async () => {},
    script: new URL('worker.ts', import.meta.url).pathname,
    args: [String(port)],
    onExit: (exit) => exits.push(exit),
  })
  onTestFinished(() => workers.stop(2000))
  expect(await seen(port, 2)).toEqual(new Set(workers.pids()))

  const [killed, left] = workers.pids() as [number, number]
  process.kill(killed, 'SIGKILL')
  await eventually(() => exits.length === 1)
  expect(exits).toMatchObject([{ pid: killed, reason: 'SIGKILL', againMs: 100 }])
  for (let i = 0; i < 5; i++) expect(await answeredBy(port)).not.toBe(0)

  await eventually(() => workers.pids().length === 2)
  const after = await seen(port, 2)
  expect(after.size).toBe(2)
  expect(after).toContain(left)
  expect(after).not.toContain(killed)

  await workers.stop(2000)
  expect(await answeredBy(port)).toBe(0)
  expect(exits.length).toBe(1)
})

test('a single worker runs in this process', async () => {
  let ran = false
  const workers = await runWorkers({
    count: 1,
    here: async () => {
      ran = true
    },
    script: '/nowhere',
    args: [],
    onExit: () => {},
  })
  expect(ran).toBe(true)
  expect(workers.pids()).toEqual([process.pid])
  await workers.stop(0)
})
