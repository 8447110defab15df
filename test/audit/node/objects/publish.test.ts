import { createHash } from 'node:crypto'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, vi } from 'vitest'
import { type LogFolder, openLogFolder } from '../../../../audit/node/folder.ts'
import { sourcesIn } from '../../../../audit/node/logfolder.ts'
import { mirrorOf } from '../../../../audit/node/objects/mirror.ts'
import { s3Place } from '../../../../audit/node/objects/place.ts'
import { openPublisher, type PublishEvent } from '../../../../audit/node/objects/publish.ts'
import type { Objects } from '../../../../audit/node/objects/s3.ts'
import { quickSha256 } from '../../../../audit/node/quick.ts'
import { type Verification, verifyLog } from '../../../../audit/verify/verify.ts'
import { utf8 } from '../../../../core/bytes.ts'
import { run } from '../../../parts/child.ts'
import { needs, pathOf } from '../../../parts/needs.ts'
import { type RunningS3, s3Env, startS3 } from '../../../parts/s3.ts'
import { Mesh, partsOf, rootOfLeaves, Signer } from '../../verify/log.ts'
import { leafHashOf, sha256 } from '../../verify/producer.ts'

const test = needs('s3')
const withGo = needs('s3', 'go')

let store: RunningS3
let dir: string
let made = 0
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'writ-publish-'))
  store = await startS3()
  await store.makeBucket('kept')
  for (const [name, value] of Object.entries(store.env)) vi.stubEnv(name, value)
}, 30_000)
afterAll(async () => {
  vi.unstubAllEnvs()
  await store?.remove()
  await rm(dir, { recursive: true, force: true })
})

/** A log in a folder of its own, and a place of its own in the store. */
interface Kept {
  readonly logDir: string
  readonly url: string
  readonly objects: Objects
  readonly events: PublishEvent[]
  readonly told: () => readonly string[]
  readonly open: (place?: string, env?: NodeJS.ProcessEnv) => ReturnType<typeof openPublisher>
  readonly grow: (calls: number) => Promise<number>
  readonly verify: (at?: string) => Promise<Verification>
}

const signer = new Signer()

async function aLog(mesh: Mesh = new Mesh()): Promise<Kept> {
  const name = `log-${made++}`
  const logDir = join(dir, name)
  const url = `s3://kept/${name}`
  const events: PublishEvent[] = []
  let folder: LogFolder | undefined
  return {
    ...{ logDir, url, events },
    objects: store.objects(url).below('0'),
    told: () => events.map((event) => (event.kind === 'published' ? `published ${event.size}` : event.error.code)),
    open: (place = url, env = store.env) => {
      const publisher = openPublisher({
        ...{ logDir, sha256, place: s3Place(place, {}, env), everyMs: 50 },
        random: (length) => new Uint8Array(length),
        onEvent: (event) => events.push(event),
      })
      onTestFinished(() => publisher.close())
      return publisher
    },
    grow: async (calls) => {
      const { leaves } = mesh.calls(calls).head()
      folder ??= await openLogFolder(join(logDir, '0'), sha256)
      await folder.append(leaves.slice(folder.size).map((bytes) => ({ bytes, hash: leafHashOf(bytes) })))
      const checkpoint = { origin: 'bank.example/audit/0', size: leaves.length, root: await folder.seal() }
      await folder.publish({ note: await signer.checkpoint(0, leaves.length, checkpoint.root), checkpoint })
      expect(checkpoint.root).toEqual(rootOfLeaves(leaves))
      return leaves.length
    },
    verify: async (at = url) => verifyLog({ ...partsOf([], signer), sources: await sourcesIn(at), quick: quickSha256 }),
  }
}
const broken = ({ findings }: Verification) =>
  findings.filter(({ level }) => level === 'broken').map(({ code, what }) => `${code} ${what}`)

test('a log is published, grows there, and is verified from s3:// and from the URL of a public bucket', async () => {
  const log = await aLog()
  const first = await log.grow(60)
  const publisher = log.open()
  await publisher.round()
  expect(log.told()).toEqual([`published ${first}`])
  expect(await log.verify()).toMatchObject({ ok: true })
  for (const calls of [1, 200]) {
    const size = await log.grow(calls)
    await publisher.round()
    expect(log.told().at(-1)).toBe(`published ${size}`)
    expect(broken(await log.verify())).toEqual([])
  }
  const names = await log.objects.list('')
  // Of tiles that are whole no partial one is left, and of the right edge only those that a checkpoint named.
  expect(names.filter((name) => name.startsWith('tile/entries/000'))).toEqual(['tile/entries/000'])
  expect(names.filter((name) => name.startsWith('tile/0/000'))).toEqual(['tile/0/000'])
  await store.makePublic('kept')
  const { url } = store
  expect(broken(await log.verify(`${url}/kept/${log.url.split('/').at(-1)}`))).toEqual([])
  for (const name of Object.keys(s3Env)) vi.stubEnv(name, undefined)
  expect(broken(await log.verify())).toEqual([])
  for (const [name, value] of Object.entries(s3Env)) vi.stubEnv(name, value)
})

withGo(
  'the public bucket is a log to others: Tessera’s fsck fetches it whole and finds the root that was signed',
  async () => {
    const log = await aLog()
    const size = await log.grow(1000)
    await log.open().round()
    await store.makePublic('kept')
    const fsck = ['run', 'github.com/transparency-dev/tessera/cmd/fsck@v1.0.4', '-N=4', '-ui=false']
    await writeFile(join(log.logDir, 'log.pub'), signer.text)
    const printed = await run(
      pathOf('go'),
      [
        ...[...fsck, `-storage_url=${store.url}/kept/${log.url.split('/').at(-1)}/0/`],
        ...[`-public_key=${join(log.logDir, 'log.pub')}`, '-origin=bank.example/audit/0'],
      ],
      { cwd: dir, env: { ...process.env, GOFLAGS: '-buildvcs=false' } },
    )
    expect(printed).toContain(`Successfully fsck'd log with size ${size} and root`)
  },
)

test('a publisher that starts again goes on where the store stands, and writes nothing twice', async () => {
  const log = await aLog()
  await log.grow(200)
  await log.open().round()
  const writes = vi.fn()
  const objects = telling(log.objects, (said) => writes(said.replace('put ', '')))
  const size = await log.grow(5)
  expect(await mirrorOf({ dir: join(log.logDir, '0'), objects, sha256 }).round()).toBe(size)
  const width = size % 256
  const index = String(Math.floor(size / 256)).padStart(3, '0')
  expect(writes.mock.calls.flat().sort()).toEqual([
    ...['checkpoint', 'checkpoint', 'checkpoint'], // Written once, and twice not, to see that it is not.
    `tile/0/${index}.p/${width}`,
    `tile/entries/${index}.p/${width}`,
  ])
})

test('of two auditors with other trees one publishes, and the other is told of a fork and changes nothing', async () => {
  const [ours, theirs] = [await aLog(), await aLog(new Mesh())]
  await ours.grow(20)
  await theirs.grow(20)
  await ours.open().round()
  await theirs.open(ours.url).round()
  expect(theirs.told()).toEqual(['fork'])
  expect(broken(await ours.verify())).toEqual([])
  // Also where both had looked before either wrote.
  const place = store.objects('s3://kept/raced').below('0')
  const late = mirrorOf({ dir: join(theirs.logDir, '0'), objects: waiting(place), sha256 })
  const round = late.round()
  await mirrorOf({ dir: join(ours.logDir, '0'), objects: place, sha256 }).round()
  release()
  await expect(round).rejects.toMatchObject({ code: 'fork' }) // Its partial tile is another one.
  await expect(late.round()).rejects.toMatchObject({ code: 'fork' })
  expect(broken(await ours.verify('s3://kept/raced'))).toEqual([])
})

/** Says what is changed in the store, before it is. */
const telling = (objects: Objects, say: (what: string) => void): Objects => ({
  ...objects,
  put: (key, ...more) => {
    say(`put ${key}`)
    return objects.put(key, ...more)
  },
  remove: (key) => {
    say(`remove ${key}`)
    return objects.remove(key)
  },
})

let release: () => void = () => undefined
/** Looks at once, and writes only when it is let. */
const waiting = (objects: Objects): Objects => {
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  return { ...objects, put: (...args) => gate.then(() => objects.put(...args)) }
}

test('a checkpoint that was written over meanwhile is looked at again before anything is written over it', async () => {
  const log = await aLog()
  await log.grow(20)
  const mirror = mirrorOf({ dir: join(log.logDir, '0'), objects: log.objects, sha256 })
  await mirror.round()
  const size = await log.grow(3)
  // The same process with a lost memory: what it wrote is the beginning of what the other has.
  await mirrorOf({ dir: join(log.logDir, '0'), objects: log.objects, sha256 }).round()
  await log.grow(2)
  await expect(mirror.round()).rejects.toMatchObject({ code: 'unavailable' })
  expect(await mirror.round()).toBeGreaterThan(size)
})

test('a folder that was rolled back is not published over what is there', async () => {
  const log = await aLog()
  await log.grow(20)
  await cp(log.logDir, `${log.logDir}-old`, { recursive: true })
  const size = await log.grow(20)
  await log.open().round()
  const old = mirrorOf({ dir: join(`${log.logDir}-old`, '0'), objects: log.objects, sha256 })
  await expect(old.round()).rejects.toMatchObject({ code: 'fork', message: expect.stringContaining(`has ${size}`) })
})

test('while the store is away nothing is lost: told once, and made good when it answers', async () => {
  const log = await aLog()
  await log.grow(20)
  const publisher = log.open()
  await store.kill()
  await publisher.round()
  const size = await log.grow(20)
  await publisher.round()
  expect(log.told()).toEqual(['unavailable'])
  await store.restart()
  publisher.start()
  await vi.waitFor(() => expect(log.told().at(-1)).toBe(`published ${size}`), 10_000)
  expect(broken(await log.verify())).toEqual([])
}, 30_000)

test('what was signed last is published before it closes', async () => {
  const log = await aLog()
  const publisher = log.open()
  const size = await log.grow(20)
  await publisher.close()
  expect(log.told()).toEqual([`published ${size}`])
})

test('an object that was changed, or is gone, is named by the verification', async () => {
  const log = await aLog()
  await log.grow(220)
  await log.open().round()
  const there = (await log.objects.get('tile/0/000'))!.bytes.slice()
  there[40]! ^= 1
  await log.objects.put('tile/0/000', there, { when: 'any' })
  await log.objects.put('tile/entries/000', utf8('no gzip'), { when: 'any', encoding: 'gzip' })
  const found = broken(await log.verify())
  expect(found.some((one) => one.includes('tile/0/000'))).toBe(true)
  expect(found.some((one) => one.includes('tile/entries/000'))).toBe(true)
})

test('what was pruned in the folder goes from the store, after what stays and the minimum are there', async () => {
  const log = await aLog()
  await log.grow(430)
  await log.open().round()
  const folder = join(log.logDir, '0')
  await writeFile(join(folder, 'minimum'), '512\n')
  for (const name of ['000', '001']) await rm(join(folder, `tile/entries/${name}.gz`))
  const order: string[] = []
  const objects = telling(log.objects, (said) => order.push(said))
  await mirrorOf({ dir: folder, objects, sha256 }).round()
  expect(order.slice(2)).toEqual([
    'put minimum',
    'remove tile/entries/000',
    'remove tile/entries/001',
    'put minimum.done',
  ])
  expect(await log.objects.get('tile/entries/001')).toBeUndefined()
  expect(await log.objects.get('tile/0/001')).toBeDefined()
})

test('a store that writes whatever the condition is refused before it is relied on', async () => {
  const kept = new Map<string, Buffer>()
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const key = request.url!.split('?')[0]!
    if (request.method === 'PUT') kept.set(key, Buffer.concat(chunks))
    const found = kept.get(key)
    const etag = `"${createHash('md5')
      .update(found ?? '')
      .digest('hex')}"`
    if (request.url!.includes('list-type')) response.end('<IsTruncated>false</IsTruncated>')
    else response.writeHead(found ? 200 : 404, { etag }).end(request.method === 'GET' ? found : undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const log = await aLog()
  await log.grow(20)
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  await log.open(log.url, { ...s3Env, AWS_ENDPOINT_URL_S3: endpoint }).round()
  expect(log.told()).toEqual(['config_invalid'])
})

test('nobody publishes without a name to do it in', async () => {
  const log = await aLog()
  expect(() => log.open(log.url, {})).toThrow(/in whose name/)
})
