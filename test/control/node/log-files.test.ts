import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, expect, test } from 'vitest'
import { encodeBundle } from '../../../audit/log/tiles.ts'
import { openLogFolder, tileReader } from '../../../audit/node/folder.ts'
import { sourcesIn } from '../../../audit/node/logfolder.ts'
import { verifyLog } from '../../../audit/verify/verify.ts'
import { logFile, openFilesDoor } from '../../../control/node/log-files.ts'
import { Mesh, partsOf, rootOfLeaves, Signer } from '../../audit/verify/log.ts'
import { leafHashOf, sha256 } from '../../audit/verify/producer.ts'

const dir = await mkdtemp(join(tmpdir(), 'writ-log-files-'))
const { leaves } = new Mesh().calls(300).head()
const signer = new Signer()
const folder = await openLogFolder(join(dir, '0'), sha256)
await folder.append(leaves.map((bytes) => ({ bytes, hash: leafHashOf(bytes) })))
await folder.seal()
const note = await signer.checkpoint(0, leaves.length, rootOfLeaves(leaves))
const checkpoint = { origin: 'bank.example/audit/0', size: leaves.length, root: rootOfLeaves(leaves) }
await folder.publish({ note, checkpoint })

const read = tileReader(dir)
const door = await openFilesDoor(read, { address: '127.0.0.1', port: 0 }, (thrown) => {
  throw thrown
})
afterAll(async () => {
  await door.close()
  await rm(dir, { recursive: true })
})
const get = (path: string, accept?: string) => logFile(path, read, accept)

test('a whole bundle comes gzipped to those who take it, and as it is to the others; either is the same', async () => {
  const bundle = Buffer.from(encodeBundle(leaves.slice(0, 256)))
  for (const accept of [undefined, 'gzip', 'br, gzip;q=0.5', '*', 'identity, gzip']) {
    const answer = await get('0/tile/entries/000', accept)
    expect(answer.headers.get('content-encoding'), accept).toBe('gzip')
    expect(gunzipSync(await answer.arrayBuffer()).equals(bundle)).toBe(true)
  }
  for (const accept of ['identity', '', 'br', 'gzip;q=0', 'gzip;q=0.000, *']) {
    const answer = await get('0/tile/entries/000', accept)
    expect(answer.headers.get('content-encoding'), accept).toBeNull()
    expect(Buffer.from(await answer.arrayBuffer()).equals(bundle)).toBe(true)
    expect(answer.headers.get('vary')).toBe('accept-encoding')
  }
})

test('types and times are those of tlog-tiles: tiles for ever, the checkpoint never', async () => {
  const rest = leaves.length - 256
  for (const path of ['0/tile/0/000', '0/tile/entries/000', `0/tile/0/001.p/${rest}`, `0/tile/entries/001.p/${rest}`]) {
    const { headers } = await get(path)
    expect([path, headers.get('content-type')]).toEqual([path, 'application/octet-stream'])
    expect(headers.get('cache-control')).toBe('max-age=31536000, immutable')
  }
  const { headers } = await get('0/checkpoint')
  expect(headers.get('content-type')).toBe('text/plain; charset=utf-8')
  expect(headers.get('cache-control')).toBe('no-store')
})

test.each([
  ...[
    '0/tile/0/002',
    '0/tile/0/000.p/0',
    '0/tile/0/000.p/256',
    '0/tile/00/000',
    '0/tile/64/000',
    '0/tile/0/0',
    '1/checkpoint',
  ],
  ...['0/tile/entries/000.gz', '0/tile/0/x000', '0/../0/checkpoint', '00/checkpoint', 'checkpoint', '0/tile', ''],
])('%s is no file of the log', async (path) => {
  await expect(get(path)).rejects.toMatchObject({ code: 'not_found' })
})

test('a log is verified over HTTP as it is from its folder, and one that is not there is said not to be', async () => {
  expect((await fetch(`${door.url}/0/tile/0/005`)).status).toBe(404)
  const sources = await sourcesIn(door.url)
  expect(sources.map(({ shard }) => shard)).toEqual([0])
  const parts = partsOf([new Map()], signer)
  const result = await verifyLog({ ...parts, sources })
  expect(result.ok).toBe(true)
  expect(result).toEqual(await verifyLog({ ...parts, sources: await sourcesIn(dir) }))
  await expect(sourcesIn(`${door.url}/elsewhere`)).rejects.toMatchObject({ code: 'not_found' })
})
