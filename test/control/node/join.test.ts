import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { makeIdentify } from '../../../ca/identify.ts'
import { type Authority, openAuthority } from '../../../ca/node/authority.ts'
import { caRequest, type Joined, joinMesh, renewSvid } from '../../../ca/node/client.ts'
import { verifySignature } from '../../../ca/node/crypto.ts'
import { makeRegistrar, type Registrar } from '../../../ca/node/registrar.ts'
import { localIdentitySource } from '../../../ca/node/source.ts'
import { memoryTokens } from '../../../ca/node/tokens.ts'
import { checkSnapshot } from '../../../control/mesh/name.ts'
import { fromUtf8 } from '../../../core/bytes.ts'
import type { IdentityState } from '../../../core/identity.ts'
import { parseJson } from '../../../core/json.ts'
import type { SpiffeId, TrustDomain } from '../../../core/spiffe.ts'
import { above } from '../../ca/above.ts'
import { sha256 } from '../world.ts'
import { type TestMesh, testMesh, testSink } from './mesh.ts'

/** The door with the real issuer and the real validator behind it, and the real client before it. */

const trustDomain = 'bank.example' as TrustDomain
const expectControl = 'spiffe://bank.example/writ/control' as SpiffeId
const random = (length: number) => new Uint8Array(randomBytes(length))
const nowMs = () => Date.now()

let folder = ''
let authority: Authority
let registrar: Registrar
let mesh: TestMesh
let denied: ReadonlySet<string> = new Set()
let generation = 1
let closeIdentity = (): unknown => undefined

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'writ-'))
  // With an intermediate between issuer and root, as an authority above may have it: all of this bears that too.
  authority = await openAuthority({ dir: join(folder, 'ca'), trustDomain, nowMs, random, upstream: above(nowMs) })
  registrar = makeRegistrar({ authority, tokens: memoryTokens(), sink: testSink(), nowMs, random })
  const identity = await localIdentitySource(authority, expectControl, { nowMs, random })
  closeIdentity = () => identity.close()
  const state = () => ({ ...identity.current(), generation, denied })
  mesh = await testMesh(
    {},
    { identity, registrar, identify: makeIdentify(state, verifySignature), trust: () => authority.bundle(), nowMs },
  )
})
afterEach(async () => {
  await mesh.door.close()
  closeIdentity()
  rmSync(folder, { recursive: true, force: true })
})

const url = () => `https://127.0.0.1:${mesh.door.port}`
const stateOf = ({ svid, bundles }: Joined): IdentityState => ({ generation: 1, svid, bundles, denied: new Set() })
const joinAs = async (id: string): Promise<Joined> =>
  joinMesh({ url: url(), expect: expectControl, token: await registrar.createToken(id as SpiffeId) })

test('a workload joins with its token, gets its part of the mesh, and renews under its name', async () => {
  const joined = await joinAs('spiffe://bank.example/orders')
  const state = stateOf(joined)
  const reply = await caRequest({ url: url(), expect: expectControl, state, method: 'GET', path: '/v1/snapshot' })
  const snapshot = checkSnapshot(parseJson(fromUtf8(reply.bytes)), sha256)
  expect(snapshot.workloads.map(({ id }) => id)).toEqual(['spiffe://bank.example/orders'])

  const renewed = await renewSvid({ url: url(), expect: expectControl, state })
  expect(renewed.svid.id).toBe('spiffe://bank.example/orders')
  expect(renewed.svid.serial).not.toBe(joined.svid.serial)
})

test('a token joins once', async () => {
  const token = await registrar.createToken('spiffe://bank.example/orders' as SpiffeId)
  await joinMesh({ url: url(), expect: expectControl, token })
  await expect(joinMesh({ url: url(), expect: expectControl, token })).rejects.toMatchObject({ code: 'token_invalid' })
})

test('a certificate of another issuer of the same name is refused, and one that is denied too', async () => {
  const ask = async (state: IdentityState) =>
    (await caRequest({ url: url(), expect: expectControl, state, method: 'GET', path: '/v1/snapshot' })).status
  const state = stateOf(await joinAs('spiffe://bank.example/orders'))
  const forger = await openAuthority({ dir: join(folder, 'forger'), trustDomain, nowMs, random })
  const forged = await localIdentitySource(forger, 'spiffe://bank.example/orders' as SpiffeId, { nowMs, random })
  expect(await ask({ ...state, svid: forged.current().svid })).toBe(401)
  forged.close()

  expect(await ask(state)).toBe(200)
  denied = new Set(['spiffe://bank.example/orders'])
  generation++
  expect(await ask(state)).toBe(403)
  denied = new Set()
})
