import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { verifySignature } from '../../ca/node/crypto.ts'
import { verifySvid } from '../../ca/svid.ts'
import { openSocketDoor } from '../../control/node/admin-door.ts'
import { authorityRoutes } from '../../control/node/authority-routes.ts'
import { doorApp } from '../../control/node/http.ts'
import { bank, keepAll, newAuthority, newSvid, noonMs, tempFolder } from '../ca/world.ts'
import { writ } from './writ.ts'

/** An authority behind the operator's door, in a state folder of its own. */
async function control(dir: string) {
  mkdirSync(dir)
  chmodSync(dir, 0o700)
  const authority = await newAuthority(bank, () => noonMs, { times: { publishMs: 0, skewMs: 0 } })
  const { sink, bodies } = keepAll()
  const app = doorApp(() => {})
  app.route('/', authorityRoutes({ authority, waiting: () => [], sink: () => sink, nowMs: () => noonMs }))
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

test('a new issuer is ordered, shown with the former one, and taken back; a lost one is not taken back', async () => {
  const state = join(tempFolder(), 'state')
  const { authority, bodies } = await control(state)
  const why = ['--state', state, '--reason', 'a drill', '--by', 'ann']
  const first = newSvid(authority).chain[1]
  const rotated = await writ('ca', 'rotate', '--issuer', ...why)
  expect(rotated).toMatchObject({ code: 0, err: '' })
  expect(rotated.out).toMatch(
    /FORMER ISSUER +SIGNED UNTIL \(UTC\) +NEXT\n[0-9a-f]{32} .* forgotten at 2026-11-24 12:00/,
  )
  expect(newSvid(authority).chain[1]).not.toEqual(first)
  expect(await writ('ca', 'undo', '--issuer', ...why)).toMatchObject({ code: 0, err: '' })
  expect(newSvid(authority).chain[1]).toEqual(first)

  const lost = await writ('ca', 'rotate', '--issuer', '--distrust', ...why, '--json')
  expect(JSON.parse(lost.out).authorities[0].former_issuers).toMatchObject([
    {},
    { distrusted_at: '2026-11-23T12:00:00.000Z', denied_from: '2026-11-23T12:00:20.000Z' },
  ])
  expect((await writ('ca', 'undo', '--issuer', ...why)).err).toContain('is distrusted')
  expect((await writ('ca', 'rotate', '--distrust', ...why)).err).toContain('give --issuer as well')
  expect(bodies.map((body) => (body.kind === 'admin' ? `${body.action}: ${body.detail}` : ''))).toEqual([
    ...['authority_rotate_issuer_ordered: a drill', 'authority_undo_issuer_ordered: a drill'],
    ...[
      'authority_rotate_issuer_ordered: a drill (the former is distrusted)',
      'authority_undo_issuer_ordered: a drill',
    ],
  ])
})
