import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { privateKeyOf } from '../../../ca/node/crypto.ts'
import { pkcs7Of, pkcs12Of } from '../../../ca/node/keystore.ts'
import { certificatesOf, keyOf, pemOf } from '../../../ca/node/pem.ts'
import { writ } from '../../cli/writ.ts'
import { above } from '../above.ts'
import { bank, newAuthority, newSvid, orders, random, tempFolder } from '../world.ts'

const password = 'correct horse battery'
const openssl = (...args: string[]): string => execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' })

test('OpenSSL and Java read the keystore with its EC key and whole chain, and not by another password', async () => {
  const dir = tempFolder()
  const authority = await newAuthority(bank, Date.now, { upstream: above(Date.now) })
  const { chain, keyPem } = newSvid(authority, orders)
  const file = join(dir, 'svid.p12')
  writeFileSync(file, pkcs12Of({ chain, keyPem, alias: 'svid', password }, random))
  const shown = openssl('pkcs12', '-in', file, '-passin', `pass:${password}`, '-nodes')
  expect(certificatesOf(shown)).toEqual(chain)
  expect(privateKeyOf(keyOf(shown)!).equals(privateKeyOf(keyPem))).toBe(true)
  expect(() => openssl('pkcs12', '-in', file, '-passin', 'pass:another password', '-nodes')).toThrow('invalid password')
  expect(() => pkcs12Of({ chain, keyPem, alias: 'svid', password: 'short' }, random)).toThrow('12 or more')

  const keytool = (...args: string[]) =>
    execFileSync('keytool', [...args, '-keystore', file, '-storepass', password], { encoding: 'utf8', stdio: 'pipe' })
  const listed = keytool('-list', '-v')
  expect(listed).toContain('Alias name: svid')
  expect(listed).toContain('Entry type: PrivateKeyEntry')
  expect(listed).toContain('Certificate chain length: 3')
  expect(listed).toContain('256-bit EC')
  // Java signs with the key: it can open it.
  expect(keytool('-certreq', '-alias', 'svid')).toContain('BEGIN NEW CERTIFICATE REQUEST')
})

test('OpenSSL and Java read the bundle', async () => {
  const dir = tempFolder()
  const authority = await newAuthority(bank, Date.now)
  await authority.prepare()
  const { roots } = authority.bundle()
  const file = join(dir, 'bundle.p7b')
  writeFileSync(file, pkcs7Of(roots))
  expect(certificatesOf(openssl('pkcs7', '-inform', 'DER', '-in', file, '-print_certs'))).toEqual(roots)
  const listed = execFileSync('keytool', ['-printcert', '-rfc', '-file', file], { encoding: 'utf8', stdio: 'pipe' })
  expect(certificatesOf(listed)).toHaveLength(2)
})

test('writ svid export takes what writ svid wrote', async () => {
  const dir = tempFolder()
  const at = (name: string): string => join(dir, name)
  const authority = await newAuthority(bank, Date.now)
  const { chain, keyPem } = newSvid(authority)
  mkdirSync(at('svid'))
  writeFileSync(at('svid/svid.pem'), chain.map((der) => pemOf(der, 'CERTIFICATE')).join(''))
  writeFileSync(at('svid/bundle.pem'), pemOf(authority.bundle().roots[0]!, 'CERTIFICATE'))
  writeFileSync(at('svid/key.pem'), keyPem)
  writeFileSync(at('password'), `${password}\n`)
  const to = ['--pkcs12', at('svid.p12'), '--password-file', at('password'), '--pkcs7', at('bundle.p7b')]
  expect(await writ('svid', 'export', '--from', at('svid'), ...to)).toEqual({ code: 0, out: '', err: '' })
  expect(statSync(at('svid.p12')).mode & 0o777).toBe(0o600)
  const shown = openssl('pkcs12', '-in', at('svid.p12'), '-passin', `file:${at('password')}`, '-nokeys')
  expect(new X509Certificate(shown.slice(shown.indexOf('-----BEGIN'))).subjectAltName).toContain(orders)
  expect(readFileSync(at('bundle.p7b'))).toEqual(Buffer.from(pkcs7Of(authority.bundle().roots)))
})
