import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test as plain } from 'vitest'
import { parseRevocationList } from '../../ca/crl.ts'
import { verifySignature } from '../../ca/node/crypto.ts'
import { pemOf } from '../../ca/pem.ts'
import { proveCertificate } from '../../ca/platform/certificate.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { domain, id, newAuthority, newSvid, noonMs, tempFolder } from './world.ts'

const test = needs('openssl')
const box = id('spiffe://factory.example/box')
const factory = (nowMs = () => noonMs) => newAuthority(domain('factory.example'), nowMs)

const listOf = (der: Uint8Array) => {
  const read = parseRevocationList(der)
  if ('wrong' in read) throw new Error(read.wrong)
  return read.list
}

plain('our list names the serials that are denied, for an hour, and leaves out what is none', async () => {
  const authority = await factory()
  const { serial } = newSvid(authority, box)
  const list = listOf(authority.revocationList([serial, 'ff', 'spiffe://factory.example/box', '00', '']))
  expect([...list.revoked]).toEqual([serial, 'ff'])
  expect([list.fromMs, list.untilMs]).toEqual([noonMs, noonMs + 3_600_000])
  expect(listOf(authority.revocationList([])).revoked.size).toBe(0)
})

test('openssl reads it, and by it refuses the certificate that is on it and no other', async () => {
  const authority = await newAuthority(domain('factory.example'), Date.now)
  const dir = tempFolder()
  const [out, kept] = [newSvid(authority, box), newSvid(authority, box)]
  const file = (name: string, text: string | Uint8Array): string => {
    writeFileSync(join(dir, name), text)
    return join(dir, name)
  }
  const pem = (...ders: readonly Uint8Array[]): string => ders.map((der) => pemOf(der, 'CERTIFICATE')).join('')
  const openssl = (...words: readonly string[]): string => {
    try {
      return execFileSync(pathOf('openssl'), words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
    } catch (thrown) {
      return String((thrown as { stderr: unknown }).stderr)
    }
  }
  const der = file('list.der', authority.revocationList([out.serial]))
  openssl('crl', '-inform', 'DER', '-in', der, '-out', join(dir, 'list.pem'))
  const trust = [
    '-CAfile',
    file('root.pem', pem(...authority.bundle().roots)),
    '-untrusted',
    file('i.pem', pem(out.chain[1]!)),
  ]
  const verify = (chain: readonly Uint8Array[], name: string): string =>
    openssl('verify', '-crl_check', '-CRLfile', join(dir, 'list.pem'), ...trust, file(name, pem(chain[0]!)))
  expect(verify(out.chain, 'out.pem')).toContain('certificate revoked')
  expect(verify(kept.chain, 'kept.pem')).toContain('OK')
})

plain('a node whose certificate its platform has revoked proves nothing by it, its neighbour does', async () => {
  const authority = await factory()
  const [out, kept] = [newSvid(authority, box), newSvid(authority, box)]
  const code = (chain: readonly Uint8Array[], lists: readonly Uint8Array[], nowMs = noonMs): string => {
    const platform = { name: 'factory', roots: authority.bundle().roots, lists }
    const proven = proveCertificate(chain, [platform], new Set(), nowMs, verifySignature)
    return proven.ok ? 'ok' : proven.code
  }
  const list = authority.revocationList([out.serial])
  expect(code(out.chain, [list])).toBe('identity_revoked')
  expect(code(kept.chain, [list])).toBe('ok')
  expect(code(out.chain, [])).toBe('ok')
  // One that is old, that somebody changed, or that cannot be read leaves us unsure: nobody passes.
  expect(code(kept.chain, [list], noonMs + 3_599_000)).toBe('ok')
  expect(code(kept.chain, [authority.revocationList([])], noonMs - 1000)).toBe('identity_invalid')
  const changed = list.slice()
  changed[changed.length - 1]! ^= 1
  expect(code(kept.chain, [changed])).toBe('identity_invalid')
  expect(code(kept.chain, [list.subarray(1)])).toBe('identity_invalid')
})

plain('whatever is read as a revocation list is read or refused', async () => {
  const list = (await factory()).revocationList(['ff'])
  fc.assert(
    fc.property(fc.nat(list.length - 1), fc.nat(255), (at, byte) => {
      const changed = list.slice()
      changed[at] = byte
      parseRevocationList(changed)
    }),
  )
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => void parseRevocationList(bytes)))
})
