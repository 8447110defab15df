import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect } from 'vitest'
import { utf8 } from '../../../core/bytes.ts'
import { readBundle } from '../../../engine/bundle.ts'
import { readSigningKey, readVerificationKey } from '../../../engine/node/keys.ts'
import { pack } from '../../../engine/node/pack.ts'
import { signBundle, unsignedBundle } from '../../../engine/node/sign.ts'
import { needs, pathOf } from '../../parts/needs.ts'
import { filesOf, keyPair, opaBuild } from '../signed.ts'

const test = needs('opa')
let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'writ-sign-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

/** What OPA says to a bundle when it loads it with a key: its answer, or its complaint. */
async function opaSays(bundle: Uint8Array, flags: readonly string[]): Promise<string> {
  await writeFile(join(dir, 'signed.tar.gz'), bundle)
  const args = ['build', '-b', 'signed.tar.gz', '-o', 'again.tar.gz', ...flags]
  return promisify(execFile)(pathOf('opa'), args, { cwd: dir }).then(
    () => 'taken',
    (thrown: { stderr: string; stdout: string }) => thrown.stderr + thrown.stdout,
  )
}

const data = '{"app": {"a<b": "\\u2028é", "n": 1.50, "\\ud83d\\ude00": 1, "\\uffff": 2}}'

test('what is signed here OPA verifies, with the same key only and not once it is changed', async () => {
  const pair = keyPair()
  const other = keyPair()
  await writeFile(join(dir, 'key.pem'), pair.privatePem)
  await writeFile(join(dir, 'key.pub'), pair.publicPem)
  await writeFile(join(dir, 'other.pub'), other.publicPem)
  const key = await readSigningKey(join(dir, 'key.pem'))
  expect(key.algorithm).toBe('ES256')
  const signed = await signBundle(pack(filesOf(await opaBuild(pathOf('opa'), { data }))), { ...key, scope: 'write' })
  const flags = ['--signing-alg', 'ES256', '--scope', 'write']
  expect(await opaSays(signed, [...flags, '--verification-key', 'key.pub'])).toBe('taken')
  expect(await opaSays(signed, [...flags, '--verification-key', 'other.pub'])).toContain('failed to verify')
  expect(await opaSays(signed, [...flags.slice(0, 2), '--verification-key', 'key.pub'])).toContain('scope mismatch')
  const files = filesOf(signed).map((file) => (file.name === 'data.json' ? { ...file, bytes: utf8('{}') } : file))
  expect(await opaSays(pack(files), [...flags, '--verification-key', 'key.pub'])).toContain('digest mismatch')

  const verification = { keys: [await readVerificationKey(join(dir, 'key.pub'))], scope: 'write' }
  expect((await readBundle(signed, 'app', { verification })).entrypoints).toEqual(['app/authz/allow'])
})

test('RSA keys and secrets sign too; a signature taken off leaves the bytes that were signed', async () => {
  const pair = keyPair('rsa')
  const secret = 'what both sides know, 32 bytes or more'
  await writeFile(join(dir, 'rsa.pem'), pair.privatePem)
  await writeFile(join(dir, 'rsa.pub'), pair.publicPem)
  await writeFile(join(dir, 'secret'), secret)
  const bundle = pack(filesOf(await opaBuild(pathOf('opa'), {})))
  for (const [algorithm, file, flag] of [
    ['PS256', 'rsa.pem', 'rsa.pub'],
    ['HS256', 'secret', 'secret'],
  ] as const) {
    const signed = await signBundle(bundle, await readSigningKey(join(dir, file), algorithm))
    expect(await opaSays(signed, ['--signing-alg', algorithm, '--verification-key', flag])).toBe('taken')
    expect(unsignedBundle(signed)).toEqual(bundle)
  }
  const again = await signBundle(
    await signBundle(bundle, await readSigningKey(join(dir, 'rsa.pem'))),
    await readSigningKey(join(dir, 'rsa.pem')),
  )
  expect(filesOf(again).filter(({ name }) => name === '.signatures.json')).toHaveLength(1)
})

test('a key is used for what it is made for; a private one never verifies', async () => {
  const files = { ec: keyPair('P-384'), rsa: keyPair('rsa') }
  for (const [name, pair] of Object.entries(files)) {
    await writeFile(join(dir, `${name}.pem`), pair.privatePem)
    await writeFile(join(dir, `${name}.pub`), pair.publicPem)
  }
  await writeFile(join(dir, 'short'), 'short')
  const at = (name: string) => join(dir, name)
  expect((await readVerificationKey(at('ec.pub'), { id: 'k' })).algorithm).toBe('ES384')
  expect((await readVerificationKey(at('rsa.pub'), { algorithm: 'PS512' })).algorithm).toBe('PS512')
  await expect(readVerificationKey(at('ec.pub'), { algorithm: 'ES256' })).rejects.toThrow('for ES384 and not for ES256')
  await expect(readVerificationKey(at('ec.pub'), { algorithm: 'none' })).rejects.toThrow('none is no algorithm')
  await expect(readVerificationKey(at('ec.pem'))).rejects.toThrow('it is a private key')
  await expect(readVerificationKey(at('short'))).rejects.toThrow('cannot be used')
  await expect(readVerificationKey(at('short'), { algorithm: 'HS256' })).rejects.toThrow('shorter than 32 bytes')
  await expect(readSigningKey(at('ec.pub'))).rejects.toThrow('cannot be used')
  await expect(readSigningKey(at('nowhere'))).rejects.toMatchObject({ code: 'config_invalid' })
})
