import { mkdir, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, vi } from 'vitest'
import { ask, buildWorkload, removeWorkload } from '../ca/workload/kit.ts'
import { type Started, start, temporaryForAll, writ } from '../cli/writ.ts'
import { startChild } from '../parts/child.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { freePort } from '../parts/ports.ts'

/** Two meshes of two organisations, each a `writ up` with an agent, whose workloads speak mTLS with each other. */

const test = needs('go')
const folder = temporaryForAll()
const uid = process.getuid!()
let program: string
const running: Started[] = []

interface Place {
  readonly name: string
  readonly door: number
  readonly bundle: number
}

const file = (...words: readonly string[]): string => join(folder, words.join('-'))
const socket = (name: string): string => `unix://${file(name, 'workload.sock')}`

const meshOf = (own: Place, other: Place, bundleFile: string | undefined): string => `
apiVersion: writ.dev/v1
kind: Mesh
metadata: {name: mesh}
spec: {trustDomain: ${own.name}.example}
---
apiVersion: writ.dev/v1
kind: RegistrationEntry
metadata: {name: app}
spec: {parent: /writ/agent/host, selectors: ["unix:uid:${uid}"], federatesWith: [${other.name}.example]}
${
  bundleFile === undefined
    ? ''
    : `---
apiVersion: writ.dev/v1
kind: FederatedDomain
metadata: {name: ${other.name}}
spec:
  trustDomain: ${other.name}.example
  url: https://127.0.0.1:${other.bundle}/
  profile: https_spiffe
  endpointId: spiffe://${other.name}.example/writ/control
  bundleFile: ${bundleFile}
`
}`

/** What its operators hand over: the bundle as it is published. */
const published = (port: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const sending = request(
      { host: '127.0.0.1', port, path: '/', rejectUnauthorized: false, agent: false },
      (answer) => {
        let text = ''
        answer.setEncoding('utf8').on('data', (part: string) => {
          text += part
        })
        answer.once('end', () => resolve(text))
      },
    )
    sending.once('error', reject)
    sending.end()
  })

async function up({ name, door, bundle }: Place): Promise<Started> {
  const words = ['-f', file(name, 'mesh.yaml'), '--state', file(name, 'state'), '--policies', file('none')]
  const doors = ['--listen', `127.0.0.1:${door}`, '--federation', `127.0.0.1:${bundle}`]
  const mesh = start(['up', ...words, ...doors])
  running.push(mesh)
  await mesh.said(/^page /m)
  return mesh
}

async function open({ name, door, bundle }: Place): Promise<Started> {
  const mesh = await up({ name, door, bundle })
  const { out } = await writ('token', `spiffe://${name}.example/writ/agent/host`, '--state', file(name, 'state'))
  await writeFile(file(name, 'token'), out, { mode: 0o600 })
  const reach = ['--control', `https://127.0.0.1:${door}`, '--trust-domain', `${name}.example`]
  const own = ['--token-file', file(name, 'token'), '--state', file(name, 'agent')]
  const agent = start(['agent', ...reach, ...own, '--socket', file(name, 'workload.sock')])
  running.push(agent)
  await agent.said(/^ready /m)
  return mesh
}

let [left, right]: Place[] = []
let first: Started
beforeAll(async () => {
  program = await buildWorkload(pathOf('go'))
  await mkdir(file('none'))
  left = { name: 'left', door: await freePort(), bundle: await freePort() }
  right = { name: 'right', door: await freePort(), bundle: await freePort() }
  await writeFile(file('left', 'mesh.yaml'), meshOf(left, right, undefined))
  first = await open(left)
  await writeFile(file('left.json'), await published(left.bundle))
  await writeFile(file('right', 'mesh.yaml'), meshOf(right, left, 'left.json'))
  await open(right)
  await writeFile(file('right.json'), await published(right.bundle))
})

afterAll(async () => {
  for (const one of running) one.signal('SIGTERM')
  await Promise.all(running.map(({ ended }) => ended))
  await removeWorkload(program)
})

test('a domain is recognised once it is named, by programs that know the Workload API alone, and in its own name only', async () => {
  const bundles = (name: string) => ask(program, 'federation', socket(name))
  await vi.waitFor(
    async () => expect(await bundles('right')).toEqual(['bundles left.example:1 right.example:1']),
    30_000,
  )
  await vi.waitFor(async () => expect(await bundles('left')).toEqual(['bundles left.example:1']), 30_000)

  const serving = startChild(program, ['talk', socket('left'), 'right.example'])
  try {
    await serving.printed(/port \d+/, 20_000)
    const url = `https://127.0.0.1:${/port (\d+)/.exec(serving.logs())![1]}/`
    const call = () => ask(program, 'call', socket('right'), url, 'spiffe://left.example/app')
    await expect(call()).rejects.toThrow() // Left does not know right yet.
    await writeFile(file('left', 'mesh.yaml'), meshOf(left!, right!, 'right.json'))
    first.signal('SIGTERM')
    await first.ended
    await up(left!)
    await vi.waitFor(async () => expect(await call()).toEqual(['200 hello spiffe://right.example/app']), 30_000)
  } finally {
    await serving.kill()
  }
})
