import { mkdir, writeFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, expect } from 'vitest'
import { isEndpoint, parseS3Url } from '../../../../audit/keep/place.ts'
import { parseListing } from '../../../../audit/node/objects/answers.ts'
import { requireCredentials, s3Place } from '../../../../audit/node/objects/place.ts'
import { type Objects, openObjects } from '../../../../audit/node/objects/s3.ts'
import { utf8 } from '../../../../core/bytes.ts'
import { needs } from '../../../parts/needs.ts'
import { type RunningS3, s3Env, startS3 } from '../../../parts/s3.ts'

const test = needs('s3')

let store: RunningS3
let objects: Objects
beforeAll(async () => {
  store = await startS3()
  await store.makeBucket('kept')
  objects = store.objects('s3://kept/years/log')
}, 30_000)
afterAll(() => store?.remove())

const text = async (key: string) => {
  const found = await objects.get(key)
  return found && new TextDecoder().decode(found.bytes)
}

test('an object is written where there is none, and over the content that was read, and never over another', async () => {
  expect(await objects.get('checkpoint')).toBeUndefined()
  const first = await objects.put('checkpoint', utf8('one'), { when: 'new' })
  expect(first).toBeTypeOf('string')
  expect(await objects.put('checkpoint', utf8('two'), { when: 'new' })).toBeUndefined()
  expect(await text('checkpoint')).toBe('one')
  const second = await objects.put('checkpoint', utf8('two'), { when: { etag: first! } })
  expect(second).not.toBe(first)
  expect(await objects.put('checkpoint', utf8('three'), { when: { etag: first! } })).toBeUndefined()
  expect((await objects.get('checkpoint'))!.etag).toBe(second)
  expect(await text('checkpoint')).toBe('two')
})

test('of many who write at once over the same content, one does', async () => {
  const etag = (await objects.put('raced', utf8('0'), { when: 'any' }))!
  const done = await Promise.all(
    Array.from({ length: 8 }, (_, i) => objects.put('raced', utf8(`${i + 1}`), { when: { etag } })),
  )
  expect(done.filter((one) => one !== undefined)).toHaveLength(1)
})

test('what is packed is given unpacked, up to a limit; what does not unpack is no bundle', async () => {
  const bundle = Buffer.alloc(100_000, 'x')
  await objects.put('packed', gzipSync(bundle), { when: 'new', encoding: 'gzip', immutable: true })
  expect(Buffer.from((await objects.get('packed'))!.bytes).equals(bundle)).toBe(true)
  expect(await objects.get('packed', 99_999)).toBeUndefined()
  await objects.put('damaged', utf8('no gzip at all'), { when: 'new', encoding: 'gzip' })
  expect((await objects.get('damaged'))!.bytes).toEqual(Uint8Array.of(0))
})

test('keys and folders are listed below the prefix alone, also over several pages, and removed', async () => {
  const other = store.objects('s3://kept/years/other')
  for (const key of ['0/checkpoint', '0/tile/0/000', '1/checkpoint']) await other.put(key, utf8(key), { when: 'new' })
  expect(await other.list('', true)).toEqual(['0/', '1/'])
  expect(await other.below('0').list('')).toEqual(['checkpoint', 'tile/0/000'])
  await other.remove('0/checkpoint')
  await other.remove('0/checkpoint')
  expect(await other.list('0/')).toEqual(['0/tile/0/000'])
  const many = store.objects('s3://kept/many')
  await mkdir(store.file('kept', 'many'))
  await Promise.all(Array.from({ length: 1005 }, (_, i) => writeFile(store.file('kept', `many/k${i}`), '')))
  expect(await many.list('k')).toHaveLength(1005)
}, 30_000)

test('who is not let in is told so, and by which cure; a bucket that there is not is no empty one', async () => {
  const wrong = openObjects(s3Place('s3://kept', {}, { ...store.env, AWS_SECRET_ACCESS_KEY: 'another' }))
  await expect(wrong.get('x')).rejects.toMatchObject({ code: 'forbidden', message: /SignatureDoesNotMatch/ as never })
  await expect(store.objects('s3://nobody').get('x')).rejects.toMatchObject({ code: 'not_found' })
  await expect(store.objects('s3://nobody').put('x', utf8(''), { when: 'any' })).rejects.toMatchObject({
    code: 'not_found',
  })
})

test('a store that is away is asked again, and then told of as away', async () => {
  await store.kill()
  const eager = openObjects(s3Place('s3://kept', {}, store.env), { tries: 2 })
  await expect(eager.get('checkpoint')).rejects.toMatchObject({ code: 'unavailable', message: /ECONNREFUSED/ as never })
  const waiting = objects.get('checkpoint')
  await store.restart()
  expect(await waiting).toBeDefined()
})

test('a place is a bucket and a prefix of plain names, at https or on this machine', () => {
  expect(s3Place('s3://kept/a/b/', {}, {})).toMatchObject({ bucket: 'kept', prefix: 'a/b/', region: 'us-east-1' })
  expect(s3Place('s3://kept', { region: 'eu-central-1' }, {}).endpoint.href).toBe(
    'https://s3.eu-central-1.amazonaws.com/',
  )
  expect(s3Place('s3://kept', {}, { AWS_ENDPOINT_URL: 'https://s3.example' }).endpoint.host).toBe('s3.example')
  for (const url of [
    's3://k',
    's3://Kept',
    's3://kept/a/../b',
    's3://kept/a b',
    's3://kept//a',
    's3://kept/%61',
    'https://kept',
  ])
    expect([url, parseS3Url(url) !== undefined]).toEqual([url, false])
  expect(
    ['https://s3.example', 'http://127.0.0.1:9000', 'http://[::1]:9000', 'http://localhost'].every(isEndpoint),
  ).toBe(true)
  expect(['http://s3.example', 'https://s3.example/bucket', 'https://a:b@s3.example', 'x'].some(isEndpoint)).toBe(false)
  expect(() => requireCredentials(s3Place('s3://kept', {}, {}))).toThrow(/in whose name/)
  expect(() => requireCredentials(s3Place('s3://kept', {}, s3Env))).not.toThrow()
})

test('whatever a store says as a listing gives an answer, and only keys that we write are in it', () => {
  fc.assert(
    fc.property(fc.string(), fc.constantFrom('Key', 'Prefix', 'NextContinuationToken', 'IsTruncated'), (inner, tag) => {
      const { keys, folders, next } = parseListing(`<IsTruncated>true</IsTruncated><${tag}>${inner}</${tag}>`)
      expect([...keys, ...folders].every((key) => /^[A-Za-z0-9._/-]+$/.test(key))).toBe(true)
      expect(next === undefined || next.length > 0).toBe(true)
    }),
  )
  const page =
    '<IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b&#43;</NextContinuationToken><Key>0/x</Key>'
  expect(parseListing(page)).toEqual({ keys: ['0/x'], folders: [], next: 'a&b+' })
})
