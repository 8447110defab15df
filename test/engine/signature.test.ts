import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { utf8 } from '../../core/bytes.ts'
import type { Json } from '../../core/json.ts'
import { readBundle } from '../../engine/bundle.ts'
import { pack } from '../../engine/node/pack.ts'
import { verifyFiles } from '../../engine/signature.ts'
import type { TarFile } from '../../engine/tar.ts'
import type { BundleVerification } from '../../engine/verification.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { entryFor, filesOf, keyPair, opaBuild, signatureOver } from './signed.ts'

const withOpa = needs('opa')
const pair = keyPair()
const other = keyPair()
const pinned = (verification: Partial<BundleVerification> = {}): BundleVerification => ({
  keys: [{ algorithm: 'ES256', key: pair.publicPem }],
  ...verification,
})

const refusal = async (files: readonly TarFile[], verification = pinned()): Promise<string> =>
  verifyFiles(files, verification).then(
    () => 'taken',
    (thrown: { code?: unknown; message: string }) => (thrown.code === 'policy_invalid' ? thrown.message : 'thrown'),
  )

/** Text that two encoders might write differently, and numbers that a double does not hold. */
const data =
  '{"app": {"text": "a<b>&\\u2028\\u2029é\\u007f\\b\\f/\\"\\\\\\u0001", "\\ud83d\\ude00": 1, "\\uffff": -0, "n": 1.50,' +
  ' "e": 1E+2, "list": [1, {"b": 2, "a": null}, true], "__proto__": {"x": []}, "twice": 1, "twice": 2}}'

describe('what opa build signed', () => {
  withOpa('is taken with its key, and by no other one', async () => {
    const files = filesOf(await opaBuild(pathOf('opa'), { data, key: pair, flags: ['--signing-alg', 'ES256'] }))
    expect(files.map(({ name }) => name)).toContain('.signatures.json')
    expect(await refusal(files)).toBe('taken')
    expect(await refusal(files, pinned({ keys: [{ algorithm: 'ES256', key: other.publicPem }] }))).toContain(
      'the key "default" did not make it',
    )
  })

  withOpa('is refused once data, module or manifest is another, and not when only spaces are', async () => {
    const files = filesOf(await opaBuild(pathOf('opa'), { key: pair, flags: ['--signing-alg', 'ES256'] }))
    const changed = (name: string, change: (text: string) => string): readonly TarFile[] =>
      files.map((file) =>
        file.name === name ? { name, bytes: utf8(change(new TextDecoder('latin1').decode(file.bytes))) } : file,
      )
    expect(await refusal(changed('data.json', (text) => text.replace('3', '4')))).toContain(
      'data.json is not what was signed',
    )
    expect(await refusal(changed('data.json', (text) => text.replace('3', '3.0')))).toContain('not what was signed')
    expect(await refusal(changed('.manifest', (text) => text.replace('[""]', '["app"]')))).toContain('.manifest is not')
    expect(await refusal(changed('policy.wasm', (text) => `${text}\0`))).toContain('policy.wasm is not what was signed')
    expect(await refusal(changed('data.json', (text) => text.replaceAll(':', ' :\n ')))).toBe('taken')
  })

  withOpa('holds exactly the files that were signed', async () => {
    const files = filesOf(await opaBuild(pathOf('opa'), { key: pair, flags: ['--signing-alg', 'ES256'] }))
    const more = { name: 'more/data.json', bytes: utf8('{}') }
    expect(await refusal([...files, more])).toContain('more/data.json is not among the files that were signed')
    expect(await refusal(files.filter(({ name }) => name !== 'data.json'))).toContain(
      'data.json was signed and is not there',
    )
    const nested = { name: 'app/.signatures.json', bytes: utf8('{}') }
    expect(await refusal([...files, nested])).toContain('app/.signatures.json is not among')
  })

  withOpa('is taken from every family of keys that OPA has', async () => {
    const secret = 'a secret that is as long as HS256 asks for, and then some: 64 bytes.'
    const rsa = keyPair('rsa')
    const cases = [
      ['RS256', rsa],
      ['PS384', rsa],
      ['ES384', keyPair('P-384')],
      ['ES512', keyPair('P-521')],
    ] as const
    for (const [algorithm, key] of cases) {
      const files = filesOf(await opaBuild(pathOf('opa'), { key, flags: ['--signing-alg', algorithm] }))
      expect(await refusal(files, { keys: [{ algorithm, key: key.publicPem }] })).toBe('taken')
    }
    const flags = ['--signing-alg', 'HS512', '--signing-key', secret]
    const files = filesOf(await opaBuild(pathOf('opa'), { flags }))
    expect(await refusal(files, { keys: [{ algorithm: 'HS512', key: utf8(secret) }] })).toBe('taken')
    expect(await refusal(files, { keys: [{ algorithm: 'HS512', key: utf8(secret.slice(0, 20)) }] })).toContain(
      'shorter than 64 bytes',
    )
  })

  withOpa('goes by key id and scope, as opa sign writes them into the claims', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'writ-sign-'))
    try {
      await writeFile(join(dir, 'bundle.tar.gz'), await opaBuild(pathOf('opa'), { data }))
      await writeFile(join(dir, 'key.pem'), pair.privatePem)
      await writeFile(join(dir, 'claims.json'), '{"keyid": "blue", "scope": "write"}')
      const args = ['sign', '--signing-key', 'key.pem', '--signing-alg', 'ES256', '--claims-file', 'claims.json']
      await promisify(execFile)(pathOf('opa'), [...args, '--bundle', 'bundle.tar.gz'], { cwd: dir })
      const built = new Uint8Array(await readFile(join(dir, 'bundle.tar.gz')))
      const signature = new Uint8Array(await readFile(join(dir, '.signatures.json')))
      const files = [...filesOf(built), { name: '.signatures.json', bytes: signature }]
      const blue = { algorithm: 'ES256', key: pair.publicPem, id: 'blue' } as const
      const green = { algorithm: 'ES256', key: other.publicPem, id: 'green' } as const
      expect(await refusal(files, { keys: [green, blue], scope: 'write' })).toBe('taken')
      expect(await refusal(files, { keys: [blue], scope: 'read' })).toContain('its scope is "write" and not "read"')
      expect(await refusal(files, { keys: [blue] })).toContain('its scope is "write" and not ""')
      expect(await refusal(files, { keys: [green], scope: 'write' })).toContain('no key "blue" is trusted')
      expect(await refusal(files, { keys: [green, blue], keyId: 'green', scope: 'write' })).toContain('did not make it')
      expect(await refusal(files, { keys: [{ ...blue, id: 'b' }], keyId: 'b', scope: 'write' })).toBe('taken')
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  })

  withOpa('may hold YAML, which is hashed as what it says', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'writ-sign-'))
    try {
      const yaml =
        'text: |\n  two\n  lines\nn: 1.50\nbig: 12345678901234567890\nhex: 0x1f\noctal: 0o17\nexp: 1e3\nsmall: 1.5e-9\n' +
        'yes: [yes, on, True, ~, null, 2024-01-01, 1_000, .5, -0, 1:30]\n2: b\n"a<b": &a {x: "\\u2028"}\nc: *a\n'
      const plain = filesOf(await opaBuild(pathOf('opa'), {})).filter(({ name }) => name !== 'data.json')
      const all = [...plain, { name: 'app/data.yaml', bytes: utf8(yaml) }]
      await writeFile(join(dir, 'bundle.tar.gz'), pack(all))
      await writeFile(join(dir, 'key.pem'), pair.privatePem)
      const args = ['sign', '--signing-key', 'key.pem', '--signing-alg', 'ES256', '--bundle', 'bundle.tar.gz']
      await promisify(execFile)(pathOf('opa'), args, { cwd: dir })
      const bytes = new Uint8Array(await readFile(join(dir, '.signatures.json')))
      const signature = { name: '.signatures.json', bytes }
      expect(await refusal([...all, signature])).toBe('taken')
      const other = all.map((file) =>
        file.name === 'app/data.yaml' ? { ...file, bytes: utf8(yaml.replace('0x1f', '32')) } : file,
      )
      expect(await refusal([...other, signature])).toContain('app/data.yaml is not what was signed')
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  })

  withOpa('is asked for when a bundle is read with keys, and else not', async () => {
    const unsigned = await opaBuild(pathOf('opa'), {})
    const signed = await opaBuild(pathOf('opa'), { key: pair, flags: ['--signing-alg', 'ES256'] })
    const content = await readBundle(unsigned, 'app')
    expect(content.ref.revision).toBe(content.ref.sha256.slice(0, 16))
    await expect(readBundle(unsigned, 'app', { verification: pinned() })).rejects.toThrow('it is not signed')
    expect((await readBundle(signed, 'app', { verification: pinned() })).data).toEqual({ app: { limit: 3 } })
    const other = pack(
      filesOf(signed).map((file) => (file.name === 'data.json' ? { ...file, bytes: utf8('{}') } : file)),
    )
    await expect(readBundle(other, 'app', { verification: pinned() })).rejects.toThrow('data.json is not what was')
  })
})

const file = { name: 'policy.wasm', bytes: utf8('module') }
const files = [await entryFor('policy.wasm', file.bytes)]
const es256 = { alg: 'ES256', kid: 'k' }

test('a token that names another algorithm than the pinned key has is refused, none and HS256 above all', async () => {
  const good = await signatureOver({ files }, pair.privateKey, es256)
  expect(await refusal([file, good])).toBe('taken')
  const part = (value: Json): string => btoa(JSON.stringify(value)).replaceAll('=', '')
  const none = `${part({ alg: 'none', kid: 'k' })}.${part({ files })}.`
  const token = { name: '.signatures.json', bytes: utf8(JSON.stringify({ signatures: [none] })) }
  expect(await refusal([file, token])).toContain('signed with "none" where the key is for ES256')
  // The public key taken for a secret: what makes verifiers that trust the header fall.
  const forged = await signatureOver({ files }, utf8(pair.publicPem), { alg: 'HS256', kid: 'k' })
  expect(await refusal([file, forged])).toContain('signed with "HS256" where the key is for ES256')
})

test('a key that does not fit its algorithm is named', async () => {
  const good = await signatureOver({ files }, pair.privateKey, es256)
  const wrong = { keys: [{ algorithm: 'ES256', key: keyPair('rsa').publicPem }] } as const
  expect(await refusal([file, good], wrong)).toContain('the key is none for ES256')
  expect(await refusal([file, good], { keys: [{ algorithm: 'ES256', key: utf8('x') }] })).toContain('is not PEM')
  expect(await refusal([file, good], { keys: [] })).toContain('no key "k" is trusted')
})

test('files are hashed with SHA-2 of 256 to 512 bits; weaker digests, repeated names and lists of nothing are refused', async () => {
  const signed = async (claims: Json): Promise<string> =>
    refusal([file, await signatureOver(claims, pair.privateKey, es256)])
  for (const algorithm of ['SHA-384', 'SHA-512'])
    expect(await signed({ files: [await entryFor('policy.wasm', file.bytes, algorithm)] })).toBe('taken')
  const [entry] = files as [{ [key: string]: Json }]
  for (const algorithm of ['MD5', 'SHA-1', 'toString', 1])
    expect(await signed({ files: [{ ...entry, algorithm }] })).toContain('is hashed with')
  expect(await signed({ files: [entry, entry] })).toContain('not well-formed')
  expect(await signed({ files: [{ ...entry, hash: 'xyz' }] })).toContain('not well-formed')
  expect(await signed({ files: [] })).toContain('policy.wasm is not among the files')
  expect(await signed({})).toContain('names no files')
  expect(await signed([])).toContain('no JSON object')
})

test('one signature, by no plugin', async () => {
  const { bytes } = await signatureOver({ files }, pair.privateKey, es256)
  const { signatures } = JSON.parse(new TextDecoder().decode(bytes)) as { signatures: string[] }
  const taken = (value: Json): Promise<string> =>
    refusal([file, { name: '.signatures.json', bytes: utf8(JSON.stringify(value)) }])
  expect(await taken({ signatures, plugin: '_default' })).toBe('taken')
  expect(await taken({ signatures, plugin: 'hsm' })).toContain('plugin "hsm"')
  expect(await taken({ signatures: [...signatures, ...signatures] })).toContain('does not hold one signature')
  expect(await taken({})).toContain('does not hold one signature')
  expect(await taken({ signatures: ['a.b'] })).toContain('is no JWT')
})

test('whatever lies in .signatures.json, it is refused with a reason', async () => {
  const texts = fc.oneof(
    fc.string({ unit: 'binary' }).map(utf8),
    fc.uint8Array(),
    fc.json().map(utf8),
    fc.array(fc.base64String(), { maxLength: 4 }).map((parts) => utf8(`{"signatures":["${parts.join('.')}"]}`)),
  )
  await fc.assert(
    fc.asyncProperty(texts, async (bytes) => {
      expect(await refusal([file, { name: '.signatures.json', bytes }])).toContain('does not hold: ')
    }),
    { numRuns: 200 },
  )
})

test('text that OPA and JavaScript would read differently is refused, not hashed', async () => {
  const broken = { name: 'data.json', bytes: utf8('{"a": "\\ud800"}') }
  const signature = await signatureOver({ files: [await entryFor('data.json', utf8('{}'))] }, pair.privateKey, es256)
  expect(await refusal([broken, signature])).toContain('lone surrogate')
})
