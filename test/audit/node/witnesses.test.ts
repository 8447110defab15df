import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { parseCheckpoint } from '../../../audit/log/checkpoint.ts'
import { type CosignerKey, cosign, cosignaturesOf, parseCosignerKey } from '../../../audit/log/cosignature.ts'
import { openNote, parseNote, parseVerifierKey } from '../../../audit/log/note.ts'
import { type Auditor, openAuditor } from '../../../audit/node/auditor.ts'
import { verifyEd25519 } from '../../../audit/node/ed25519.ts'
import type { Store } from '../../../audit/node/store.ts'
import { openWitness, type Witness } from '../../../audit/node/witness.ts'
import {
  openWitnesses,
  type Witnesses,
  type WitnessingEvent,
  type WitnessPlace,
} from '../../../audit/node/witnesses.ts'
import { eq } from '../../../audit/store/drizzle.ts'
import { checkpoints } from '../../../audit/store/schema.ts'
import { openWitnessDoor, type WitnessDoor } from '../../../control/node/witness-door.ts'
import { needs, pathOf } from '../../parts/needs.ts'
import { buildWitnessing, removeWitnessing, serve, testWitness } from '../witness/go.ts'
import {
  makeProducer,
  makeWorld,
  message,
  openTestStore,
  random,
  sha256,
  trustDomain,
  type World,
} from './auditor-fixture.ts'

/** The auditor has its checkpoints cosigned, by witnesses over HTTP, and waits for none of them. */

const origin = 'bank.example/audit/0'
let store: Store
let world: World
let dir: string
let nowMs: number
let closing: (() => Promise<unknown>)[]
let events: WitnessingEvent[]
beforeAll(async () => {
  store = await openTestStore()
})
afterAll(() => store.close())
beforeEach(async () => {
  world = await makeWorld(store)
  dir = await mkdtemp(join(tmpdir(), 'writ-witnesses-'))
  nowMs = 1_800_000_000_000
  closing = []
  events = []
})
afterEach(async () => {
  for (const step of closing.reverse()) await step()
  await world.end()
  await rm(dir, { recursive: true, force: true })
})

async function witnessAt(name: string, over: { readonly origin?: string; readonly dir?: string } = {}) {
  const folder = over.dir ?? join(dir, encodeURIComponent(name))
  const witness: Witness = await openWitness({
    ...{ dir: folder, keyFile: join(folder, 'witness.key'), name: `witness.example/${name}`, sha256 },
    logs: [{ origin: over.origin ?? origin, keys: [parseVerifierKey(sha256, world.signer.verifierKey)!] }],
    nowMs: () => nowMs,
    onEvent: () => undefined,
  })
  const door: WitnessDoor = await openWitnessDoor(witness, { address: '127.0.0.1', port: 0 }, () => undefined)
  const close = async (): Promise<void> => {
    await door.close()
    await witness.close()
  }
  closing.push(close)
  const place: WitnessPlace = { url: door.url, key: parseCosignerKey(sha256, witness.verifierKey)! }
  return { place, folder, close }
}

/** Whatever a witness may answer. */
async function answering(respond: (path: string) => { status: number; body?: string; type?: string } | undefined) {
  const server: Server = createServer((request, response) => {
    request.resume().on('end', () => {
      const answer = respond(request.url!)
      if (answer) response.writeHead(answer.status, { 'content-type': answer.type ?? 'text/plain' }).end(answer.body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(
    () =>
      new Promise((resolve) => {
        server.close(resolve)
        server.closeAllConnections()
      }),
  )
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const witnessesOf = (places: readonly WitnessPlace[], quorum = places.length, timeoutMs = 10_000): Witnesses => {
  const onEvent = (event: WitnessingEvent): void => void events.push(event)
  const witnesses = openWitnesses({ witnesses: places, quorum, sha256, nowMs: () => nowMs, onEvent, timeoutMs })
  closing.push(() => witnesses.close())
  return witnesses
}

const auditorWith = async (witnesses: Witnesses): Promise<Auditor> => {
  const auditor = await openAuditor({
    ...{ store, logDir: join(world.dir, 'log'), signer: world.signer, trustDomain, cluster: 'main' },
    ...{ software: 'writ test', random, sha256, witnesses },
    verifyHead: () => ({ ok: true }),
    rootsOf: () => [],
    now: () => BigInt(nowMs) * 1_000_000n,
    onEvent: (event) => world.events.push(event),
  })
  closing.push(() => auditor.close())
  return auditor
}

const orders = () => makeProducer('orders')
let offset = 0
const feed = (auditor: Auditor, producer: ReturnType<typeof makeProducer>, count: number): Promise<void> =>
  auditor.ingest(0, [message(offset++, producer.producer, producer.decisions(count))])
beforeEach(() => {
  offset = 0
})

const fileOf = (name: string): Promise<string | undefined> =>
  readFile(join(world.dir, 'log', '0', name), 'utf8').catch(() => undefined)
async function cosignersOf(note: string | undefined, ...keys: readonly CosignerKey[]): Promise<readonly string[]> {
  const read = await cosignaturesOf(note ?? '', keys, verifyEd25519)
  return read.ok ? read.cosignatures.map(({ key }) => key.cosigner.replace('witness.example/', '')) : []
}
const sizeOf = (note: string | undefined): number => parseCheckpoint(parseNote(note ?? '')?.text ?? '')?.size ?? -1

async function step(auditor: Auditor, witnesses: Witnesses): Promise<void> {
  nowMs += 2000
  await auditor.checkpoint()
  await witnesses.settled()
}

test('a checkpoint is published with the cosignatures of all, and as the witnessed one; so is each later one', async () => {
  const [one, two] = [await witnessAt('w1'), await witnessAt('w2')]
  const witnesses = witnessesOf([one.place, two.place])
  const auditor = await auditorWith(witnesses)
  const producer = orders()
  await auditor.ingest(0, [message(offset++, producer.producer, [producer.start()])])
  for (const size of [300, 7]) {
    await feed(auditor, producer, size)
    await step(auditor, witnesses)
    const note = await fileOf('checkpoint')
    expect([...(await cosignersOf(note, one.place.key, two.place.key))].sort()).toEqual(['w1', 'w2'])
    expect(await fileOf('checkpoint.witnessed')).toBe(note)
    expect((await openNote(note!, [parseVerifierKey(sha256, world.signer.verifierKey)!], verifyEd25519)).ok).toBe(true)
    const [row] = await store.db
      .select()
      .from(checkpoints)
      .where(eq(checkpoints.size, sizeOf(note)))
    expect(row!.note).toBe(note)
  }
  expect(events.every(({ kind }) => kind === 'witnessed')).toBe(true)
})

test('a witness that says nothing holds back neither the checkpoint nor the quorum of the others', async () => {
  const [one, two] = [await witnessAt('w1'), await witnessAt('w2')]
  const silent: WitnessPlace = { url: await answering(() => undefined), key: testWitness('witness.example/w3').key }
  const witnesses = witnessesOf([one.place, silent, two.place], 2)
  const auditor = await auditorWith(witnesses)
  await feed(auditor, orders(), 5)
  nowMs += 2000
  await auditor.checkpoint() // Returns while the third is waited for.
  const published = sizeOf(await fileOf('checkpoint'))
  expect(published).toBeGreaterThan(0)
  await vi.waitFor(async () => expect(sizeOf(await fileOf('checkpoint.witnessed'))).toBe(published), 10_000)
})

test('below the quorum nothing is called witnessed, and the line that came is published all the same', async () => {
  const one = await witnessAt('w1')
  const away: WitnessPlace = {
    url: await answering(() => ({ status: 503 })),
    key: testWitness('witness.example/w2').key,
  }
  const witnesses = witnessesOf([one.place, away])
  const auditor = await auditorWith(witnesses)
  await feed(auditor, orders(), 5)
  await step(auditor, witnesses)
  expect(await cosignersOf(await fileOf('checkpoint'), one.place.key)).toEqual(['w1'])
  expect(await fileOf('checkpoint.witnessed')).toBeUndefined()
  expect(events).toMatchObject([{ kind: 'witness_failed', witness: 'witness.example/w2', why: 'it answered 503' }])
})

test('a witness that comes back cosigns what the others have, which then is the witnessed one', async () => {
  const one = await witnessAt('w1')
  const two = await witnessAt('w2')
  await two.close()
  closing.splice(closing.indexOf(two.close), 1)
  const port = Number(new URL(two.place.url).port)
  const witnesses = witnessesOf([one.place, two.place])
  const auditor = await auditorWith(witnesses)
  await feed(auditor, orders(), 5)
  await step(auditor, witnesses)
  expect(await fileOf('checkpoint.witnessed')).toBeUndefined()
  const [before] = (await fileOf('checkpoint'))!.split('\n').filter((line) => line.includes('witness.example/w1'))

  const witness = await openWitness({
    ...{ dir: two.folder, keyFile: join(two.folder, 'witness.key'), name: 'witness.example/w2', sha256 },
    logs: [{ origin, keys: [parseVerifierKey(sha256, world.signer.verifierKey)!] }],
    ...{ nowMs: () => nowMs, onEvent: () => undefined },
  })
  const door = await openWitnessDoor(witness, { address: '127.0.0.1', port }, () => undefined)
  closing.push(async () => {
    await door.close()
    await witness.close()
  })
  nowMs += 60_000
  await step(auditor, witnesses) // The log has not grown: only the one that failed is asked.
  const note = await fileOf('checkpoint.witnessed')
  expect(note!.split('\n').filter((line) => line.includes('witness.example/w1'))).toEqual([before])
  expect([...(await cosignersOf(note, one.place.key, two.place.key))].sort()).toEqual(['w1', 'w2'])
})

test('an auditor that starts anew learns from its witness where that stands', async () => {
  const one = await witnessAt('w1')
  const first = witnessesOf([one.place])
  const auditor = await auditorWith(first)
  await feed(auditor, orders(), 5)
  await step(auditor, first)
  await first.close()
  await auditor.close()
  const second = witnessesOf([one.place])
  const next = await auditorWith(second)
  await next.nextOffset(0)
  await feed(next, orders(), 300)
  await step(next, second)
  const note = await fileOf('checkpoint.witnessed')
  expect(sizeOf(note)).toBeGreaterThan(300)
  expect(note).toBe(await fileOf('checkpoint'))
  expect(events.filter(({ kind }) => kind === 'witness_failed')).toEqual([])
})

test('a log at rest has one line of each witness, however often its auditor starts', async () => {
  const one = await witnessAt('w1')
  let line: string | undefined
  for (let run = 0; run < 3; run++) {
    const witnesses = witnessesOf([one.place])
    const auditor = await auditorWith(witnesses)
    await auditor.nextOffset(0)
    if (run === 0) await feed(auditor, orders(), 5)
    await step(auditor, witnesses)
    await witnesses.close()
    await auditor.close()
    const lines = (await fileOf('checkpoint'))!.split('\n').filter((text) => text.includes('witness.example/w1'))
    expect(lines).toHaveLength(1)
    expect(lines[0]).not.toBe(line) // Cosigned anew, at a later time.
    line = lines[0]
    expect(await fileOf('checkpoint.witnessed')).toBe(await fileOf('checkpoint'))
  }
})

test('a witness that cosigned more than this log has, and each refusal, is told once with its reason', async () => {
  const why = async (status: number, body = '', type = 'text/plain', key = testWitness().key): Promise<string> => {
    events = []
    const url = await answering(() => ({ status, body, type }))
    const witnesses = witnessesOf([{ url, key }])
    const auditor = await auditorWith(witnesses)
    await auditor.nextOffset(0)
    if (offset === 0) await feed(auditor, orders(), 5)
    await step(auditor, witnesses)
    nowMs += 60_000
    await step(auditor, witnesses)
    await witnesses.close()
    await auditor.close()
    expect(events).toHaveLength(1)
    return events[0]!.kind === 'witness_failed' ? events[0]!.why : 'witnessed'
  }
  expect(await why(409, '9999\n', 'text/x.tlog.size')).toMatch(/^it has cosigned a tree of 9999, and this log has \d+$/)
  expect(await why(409, '9999\n')).toBe('it answered 409')
  expect(await why(409, '1\n', 'text/x.tlog.size')).toBe('it stands elsewhere each time it is asked')
  expect(await why(404)).toContain('does not know bank.example/audit/0')
  expect(await why(403)).toContain('trusts another key')
  expect(await why(422)).toContain('does not extend')
  expect(await why(200, 'no line')).toContain('no signature lines that hold')
  const stranger = testWitness('witness.example/else')
  expect(await why(200, await cosign('x\n', stranger.key, 5, stranger.sign))).toBe(
    'it did not sign with the key that it is known by',
  )
  const known = testWitness()
  const ofOther = await cosign('x\n', known.key, 5, known.sign)
  expect(await why(200, ofOther, 'text/plain', known.key)).toContain(
    'the cosignature of witness.example/w1 does not hold',
  )
  expect(await why(200, '\u2014'.repeat(40_000))).toContain('longer than')
  expect(await cosignersOf(await fileOf('checkpoint'))).toEqual([])
})

describe('the witness of transparency-dev', () => {
  const goTest = needs('go')
  let program: string
  beforeAll(async () => {
    program = await buildWitnessing(pathOf('go'))
  }, 300_000)
  afterAll(() => removeWitnessing(program))

  goTest('cosigns our checkpoints as the log grows, by our proofs', async () => {
    const { key, skey } = testWitness('witness.example/reference')
    const served = await serve(program, [skey, origin, world.signer.verifierKey])
    closing.push(served.end)
    const ours = await witnessAt('w1')
    const witnesses = witnessesOf([{ url: served.url, key }, ours.place])
    const auditor = await auditorWith(witnesses)
    const producer = orders()
    for (const count of [1, 255, 300, 1]) {
      await feed(auditor, producer, count)
      await step(auditor, witnesses)
      const note = await fileOf('checkpoint.witnessed')
      expect(note).toBe(await fileOf('checkpoint'))
      expect([...(await cosignersOf(note, key, ours.place.key))].sort()).toEqual(['reference', 'w1'])
    }
    expect(events.filter(({ kind }) => kind === 'witness_failed')).toEqual([])
  })
})
