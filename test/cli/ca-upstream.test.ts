import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { verifySignature } from '../../ca/node/crypto.ts'
import { verifySvid } from '../../ca/svid.ts'
import { openSocketDoor } from '../../control/node/admin-door.ts'
import { authorityRoutes } from '../../control/node/authority-routes.ts'
import type { DoorApp } from '../../control/node/http.ts'
import { bank, keepAll, newAuthority, newSvid, noonMs, tempFolder } from '../ca/world.ts'
import { writ } from './writ.ts'

/** An authority behind the operator's door, in a state folder of its own. */
async function control(dir: string) {
  mkdirSync(dir)
  chmodSync(dir, 0o700)
  const authority = await newAuthority(bank, () => noonMs, { times: { publishMs: 0, skewMs: 0 } })
  const { sink, bodies } = keepAll()
  const app: DoorApp = authorityRoutes({ authority, waiting: () => [], sink: () => sink, nowMs: () => noonMs })
  const door = await openSocketDoor(join(dir, 'admin.sock'), app)
  onTestFinished(() => door.close())
  return { authority, bodies }
}

test('a request that one Writ prints is signed by another, and the chain is imported: known roots at once, new ones first', async () => {
  const dir = tempFolder()
  const [above, below, key] = [join(dir, 'above'), join(dir, 'below'), join(dir, 'issuer.key')]
  const [upper, lower] = [await control(above), await control(below)]
  const csr = await writ('ca', 'csr', '--trust-domain', bank, '--key', key)
  expect(csr).toMatchObject({ code: 0, err: '' })
  expect(statSync(key).mode & 0o777).toBe(0o600)
  writeFileSync(join(dir, 'issuer.csr'), csr.out)

  const why = ['--reason', 'a second site', '--by', 'ann']
  const signed = await writ('ca', 'sign', join(dir, 'issuer.csr'), '--state', above, ...why)
  expect(signed).toMatchObject({ code: 0, err: '' })
  expect(upper.bodies).toMatchObject([
    { kind: 'admin', action: 'authority_sign_ordered', actor: 'ann', detail: 'a second site' },
    { kind: 'admin', action: 'authority_issuer_signed', detail: expect.stringMatching(/^serial [0-9a-f]{32}$/) },
  ])
  writeFileSync(join(dir, 'chain.pem'), signed.out)

  const imported = await writ('ca', 'import', join(dir, 'chain.pem'), '--key', key, '--state', below, ...why)
  expect(imported).toMatchObject({ code: 0, err: '' })
  expect(imported.out).toContain('prepared')
  expect(lower.bodies).toMatchObject([{ action: 'authority_import_ordered', actor: 'ann' }])
  await lower.authority.activate()
  const { chain } = newSvid(lower.authority)
  expect(verifySvid(chain, upper.authority.bundle(), noonMs, verifySignature).ok).toBe(true)
})
