import { statSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { makeIdentify } from '../../../ca/identify.ts'
import { fileBoundKeys } from '../../../ca/node/bound-keys.ts'
import { joinMesh, recoverSvid, renewSvid } from '../../../ca/node/client.ts'
import { newKeyPair, verifySignature } from '../../../ca/node/crypto.ts'
import { makeRecovery } from '../../../ca/node/recovery.ts'
import { provenDigest, readRecovery, recoveryText } from '../../../ca/node/recovery-proof.ts'
import { makeRegistrar } from '../../../ca/node/registrar.ts'
import type { IdentityEvent } from '../../../ca/node/rotate.ts'
import { localIdentitySource, openIdentitySource } from '../../../ca/node/source.ts'
import { memoryTokens } from '../../../ca/node/tokens.ts'
import { renewing } from '../../../cli/wire/join.ts'
import { bank, id, newAuthority, orders, random, tempFolder } from '../../ca/world.ts'
import { testMesh, testSink } from './mesh.ts'

/** The door with the real issuer behind it and the real client before it, and a clock that a test moves on. */

const control = id('spiffe://bank.example/writ/control')
const hour = 3_600_000
let aheadMs = 0
beforeEach(() => {
  aheadMs = 0
})
const nowMs = (): number => Date.now() + aheadMs

async function world() {
  const authority = await newAuthority(bank, nowMs)
  const identity = await localIdentitySource(authority, control, { nowMs, random, ttlMs: 24 * hour })
  const sink = testSink()
  const registrar = makeRegistrar({ authority, tokens: memoryTokens(), sink, nowMs, random })
  const folder = tempFolder()
  const denied = new Set<string>()
  const registered = new Set<string>([orders])
  let withinMs = 2 * hour
  const recovery = () =>
    makeRecovery({
      store: fileBoundKeys(join(folder, 'recovery-keys.json'), nowMs),
      issue: registrar.reissue,
      isRegistered: (id) => registered.has(id),
      withinMs: () => withinMs,
      denied: () => denied,
      onProblem: (text) => expect.unreachable(text),
      ...{ sink, nowMs },
    })
  const state = () => ({ ...identity.current(), denied })
  const restarted = async () => {
    const { door } = await testMesh(
      {},
      {
        ...{ identity, registrar, recovery: recovery(), sink, nowMs, trust: () => authority.bundle() },
        identify: makeIdentify(state, verifySignature),
      },
    )
    onTestFinished(() => door.close())
    return { url: `https://127.0.0.1:${door.port}`, expect: control, nowMs }
  }
  onTestFinished(() => identity.close())
  return {
    ...{ sink, registrar, denied, registered, restarted, dir: join(folder, 'identity') },
    within: (ms: number) => {
      withinMs = ms
    },
    issuances: () => sink.bodies.filter((body) => body.kind === 'issuance'),
  }
}

test('a workload whose certificate is over has another by its recovery key, whoever restarted meanwhile', async () => {
  const w = await world()
  const reach = await w.restarted()
  const token = await w.registrar.createToken(orders)
  const events: IdentityEvent[] = []
  const open = async (reach: Parameters<typeof renewing>[0]) => {
    const source = await openIdentitySource({
      ...{ dir: w.dir, id: orders, nowMs, random, onEvent: (event: IdentityEvent) => void events.push(event) },
      obtain: { ...renewing(reach), join: (recovery) => joinMesh({ ...reach, expect: control, token, recovery }) },
    })
    source.close()
    return source.current()
  }
  const first = await open(reach)
  expect(statSync(join(w.dir, 'recovery.pem')).mode & 0o777).toBe(0o600)
  aheadMs = hour + 60_000
  const second = await open(await w.restarted())
  expect(events.map(({ kind }) => kind)).toEqual(['joined', 'recovered'])
  expect(second.svid.serial).not.toBe(first.svid.serial)
  expect(w.issuances().at(-1)).toMatchObject({
    ...{ action: 'issued', subject: orders, serial: second.svid.serial },
    evidence: expect.stringMatching(/^recovery-key:[0-9a-f]{8}$/),
  })

  aheadMs += 4 * hour // Later than it may: the token is asked for, which was redeemed.
  await expect(open(reach)).rejects.toMatchObject({ code: 'token_invalid' })
  expect(events.at(-1)).toMatchObject({ kind: 'failed', fault: { code: 'forbidden' } })
})

test('a key recovers within its time, and never a name that is denied or was taken out of the mesh', async () => {
  const w = await world()
  const reach = { ...(await w.restarted()), recovery: newKeyPair().keyPem }
  const last = await joinMesh({ ...reach, token: await w.registrar.createToken(orders) })
  const refused = async (code: string, part: string) =>
    expect(recoverSvid({ ...reach, last })).rejects.toMatchObject({ code, message: expect.stringContaining(part) })

  aheadMs = last.svid.notAfterMs + 2 * hour + 1000 - Date.now()
  await refused('forbidden', 'its certificate ended at')
  expect(w.issuances().at(-1)).toMatchObject({ action: 'refused', subject: orders })
  aheadMs -= 60_000
  w.denied.add(orders)
  await refused('forbidden', 'is on the deny list')
  w.denied.clear()
  w.denied.add(last.svid.serial)
  await refused('forbidden', `${last.svid.serial} is on the deny list`)
  w.denied.clear()
  w.registered.clear()
  await refused('forbidden', 'is registered no more')
  w.registered.add(orders)
  w.within(0)
  await refused('unauthorized', 'bound to no name')
  w.within(2 * hour)
  await expect(recoverSvid({ ...reach, last, recovery: newKeyPair().keyPem })).rejects.toMatchObject({
    code: 'unauthorized',
  })
  expect(w.sink.refusals.at(-1)).toMatchObject({ code: 'identity_untrusted', listener: 'control/recover' })
  expect((await recoverSvid({ ...reach, last })).svid.id).toBe(orders)
})

test('a renewal moves the time of a bound key on, and binds none', async () => {
  const w = await world()
  const [bound, other] = [newKeyPair().keyPem, newKeyPair().keyPem]
  const reach = await w.restarted()
  const first = await joinMesh({ ...reach, recovery: bound, token: await w.registrar.createToken(orders) })
  const stateOf = ({ svid, bundles }: typeof first) => ({ generation: 1, svid, bundles, denied: new Set<string>() })
  aheadMs = hour / 2
  await renewSvid({ ...reach, state: stateOf(first), recovery: other })
  await expect(recoverSvid({ ...reach, last: first, recovery: other })).rejects.toMatchObject({ code: 'unauthorized' })
  aheadMs += 61_000 // Renewals are written once a minute.
  const last = await renewSvid({ ...reach, state: stateOf(first), recovery: bound })
  aheadMs = first.svid.notAfterMs + 2 * hour + 60_000 - Date.now()
  expect((await recoverSvid({ ...(await w.restarted()), last, recovery: bound })).svid.id).toBe(orders)
})

test('a proof is for one request by one key, and any other text is refused for what it is', () => {
  const { keyPem } = newKeyPair()
  const [request, another] = [Uint8Array.of(1, 2, 3), Uint8Array.of(1, 2, 4)]
  const text = recoveryText(keyPem, request)
  expect(provenDigest(readRecovery(text), request)).toMatch(/^[0-9a-f]{64}$/)
  expect(() => provenDigest(readRecovery(text), another)).toThrow('did not sign this request')
  const [key, signature] = text.split(' ')
  const bad = fc.oneof(
    fc.string({ maxLength: 2000 }),
    fc.string().map((end) => `${text}${end || ' '}`),
    fc.base64String().map((other) => `${other} ${signature}`),
    fc.base64String().map((other) => `${key} ${other}`),
  )
  fc.assert(
    fc.property(bad, (one) => {
      const judge = () => provenDigest(readRecovery(one), request)
      expect(judge).toThrow(expect.objectContaining({ code: 'certificate_invalid' }))
    }),
  )
})
