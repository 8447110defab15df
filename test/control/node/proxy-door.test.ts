import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { adminRequest, adminStream } from '../../../control/node/client.ts'
import { openProxyDoor, openProxySocket, type ProxyDoorParts } from '../../../control/node/proxy-door.ts'
import { makeTaps, maxTaps, type Taps } from '../../../proxy/telemetry/tap.ts'
import { denied, served } from '../../proxy/telemetry/served.ts'

function parts(why: string[] = []) {
  const taps = makeTaps()
  const made: ProxyDoorParts = {
    notReady: () => why,
    metrics: () => 'writ_ready 1\n',
    config: () => ({ secret: 'of the owner' }),
    graph: () => ({ edges: [] }),
    tap: taps.open,
    unexpected: () => {},
  }
  return { made, taps, why }
}

async function door(of: ProxyDoorParts) {
  const opened = await openProxyDoor({ address: '127.0.0.1', port: 0 }, of)
  onTestFinished(opened.close)
  return (path: string, host?: string) =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      const headers = host === undefined ? {} : { host }
      const asking = request({ host: '127.0.0.1', port: opened.port, path, headers, agent: false }, (answer) => {
        let text = ''
        answer.setEncoding('utf8').on('data', (more: string) => {
          text += more
        })
        answer.on('end', () => resolve({ status: answer.statusCode!, text }))
      })
      asking.on('error', reject).end()
    })
}

async function socket(of: ProxyDoorParts): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'writ-'))
  chmodSync(folder, 0o700)
  const opened = await openProxySocket(join(folder, 'admin.sock'), of)
  onTestFinished(async () => {
    await opened.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return opened.socketPath
}

test('the HTTP door says whether it is ready, that it lives, and its metrics', async () => {
  const { made, why } = parts(['it has no snapshot yet'])
  const ask = await door(made)
  expect(await ask('/ready')).toEqual({ status: 503, text: 'not ready: it has no snapshot yet\n' })
  expect(await ask('/live')).toEqual({ status: 200, text: 'live\n' })
  why.length = 0
  expect(await ask('/ready')).toEqual({ status: 200, text: 'ready\n' })
  expect(await ask('/metrics')).toEqual({ status: 200, text: 'writ_ready 1\n' })
})

test('what tells more is not at the HTTP door', async () => {
  const ask = await door(parts().made)
  for (const path of ['/config', '/graph', '/tap', '/']) expect((await ask(path)).status).toBe(404)
})

test('a page that reaches loopback by a name of its own reads nothing', async () => {
  const ask = await door(parts().made)
  expect((await ask('/metrics', 'rebound.example:9000')).status).toBe(403)
  expect((await ask('/metrics', 'localhost:9000')).status).toBe(200)
  expect((await ask('/metrics', '[::1]:9000')).status).toBe(200)
})

test('the socket is its owner’s alone, and tells the rest', async () => {
  const path = await socket(parts().made)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(await adminRequest(path, 'GET', '/config')).toEqual({ secret: 'of the owner' })
  expect(await adminRequest(path, 'GET', '/graph')).toEqual({ edges: [] })
  expect(await adminRequest(path, 'GET', '/ready')).toBe('ready\n')
})

test('a tap over the socket shows what its filter names as it happens, and is closed by whoever watches', async () => {
  const { made, taps } = parts()
  const path = await socket(made)
  const stream = adminStream(path, '/tap?verdict=deny&max_per_second=10')
  const first = stream.next()
  const telling = setInterval(() => {
    taps.served(served())
    taps.served(denied())
  }, 5)
  onTestFinished(() => clearInterval(telling))
  const line = new TextDecoder().decode((await first).value as Uint8Array).split('\n')[0]!
  expect(JSON.parse(line)).toMatchObject({ verdict: 'deny', code: 'policy_denied' })
  await stream.return(undefined)
  await expect.poll(() => hasRoomForAll(taps)).toBe(true)
})

function hasRoomForAll(taps: Taps): boolean {
  const open: (() => void)[] = []
  try {
    for (let i = 0; i < maxTaps; i++) open.push(taps.open({}, 1, () => true))
    return true
  } catch {
    return false
  } finally {
    for (const close of open) close()
  }
}

test('a filter that is none is refused with its name', async () => {
  const path = await socket(parts().made)
  await expect(adminRequest(path, 'GET', '/tap?status=9xx')).rejects.toMatchObject({ code: 'usage' })
  await expect(adminRequest(path, 'GET', '/tap?colour=red')).rejects.toMatchObject({ code: 'usage' })
})
