import { readFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject } from 'vitest'
import { needs } from '../../parts/needs.ts'
import { type Mesh, openMesh } from '../mesh.ts'
import { contentOf } from './kit.ts'

const test = needs('kafka', 'postgres', 'nginx', 'opa')
const here = Object.values(inject('parts')).every((part) => 'path' in part)

describe('a mesh whose records are replicated before it answers', () => {
  let mesh: Mesh
  beforeAll(async () => {
    if (here) mesh = await openMesh(1, 'replicated')
  }, 180_000)
  afterAll(() => mesh?.close())

  test('every response that a client saw has its decision in the topic, across two crashes of the broker', async () => {
    const [cert, key] = await Promise.all([readFile(mesh.client.cert), readFile(mesh.client.key)])
    const agent = new Agent({ cert, key, rejectUnauthorized: false, keepAlive: true })
    const answered: string[] = []
    let over = false
    let asked = 0
    const ask = (path: string): Promise<number> =>
      new Promise((resolve) => {
        const asking = request({ host: '127.0.0.1', port: mesh.port, path, agent, timeout: 30_000 }, (response) => {
          response.resume().once('close', () => resolve(response.statusCode ?? 0))
        })
        asking.once('error', () => resolve(0)).once('timeout', () => asking.destroy())
        asking.end()
      })
    const callers = Array.from({ length: 8 }, async () => {
      while (!over) {
        const n = asked++
        const path = n % 10 === 0 ? `/secret/${n}` : `/items/${n}`
        const status = await ask(path)
        if (status === 200 || status === 403) answered.push(path)
        else await pause(100)
      }
    })
    let before = 0
    for (let crash = 0; crash < 2; crash++) {
      await pause(3000)
      expect(answered.length).toBeGreaterThan(before)
      await mesh.kafka.kill()
      before = answered.length
      await pause(1000)
      expect(answered.length).toBeLessThanOrEqual(before + callers.length) // Only what Kafka had taken already.
      await mesh.kafka.restart()
      while (answered.length <= before + 8) await pause(100)
    }
    over = true
    await Promise.all(callers)
    agent.destroy()
    const content = await contentOf(mesh.kafka.broker, 'writ.records.v1')
    const decided = new Set<unknown>()
    for (const line of content.flatMap(({ value }) => value.split('\n'))) {
      const record = JSON.parse(line) as {
        kind: string
        input?: { attributes?: { request?: { http?: { path?: string } } } }
      }
      if (record.kind === 'decision') decided.add(record.input?.attributes?.request?.http?.path)
    }
    expect(answered.filter((path) => !decided.has(path))).toEqual([])
  }, 180_000)
})
