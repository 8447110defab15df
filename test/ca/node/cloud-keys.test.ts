import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { p256 } from '@noble/curves/nist.js'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { azureRootKeys, azureToken } from '../../../ca/node/azure-keys.ts'
import { verifySignature } from '../../../ca/node/crypto.ts'
import { gcpKmsRootKeys, gcpToken } from '../../../ca/node/gcp-kms.ts'
import type { RootKeys } from '../../../ca/node/root-keys.ts'
import { verifySvid } from '../../../ca/svid.ts'
import { bank, newAuthority, newSvid, noonMs, random, tempFolder } from '../world.ts'

/** Stand-ins of Google Cloud KMS and Azure Key Vault, which speak the documented REST API and check each request. */

type Body = Readonly<Record<string, unknown>>
interface Said {
  readonly status?: number
  readonly body: unknown
}

async function serve(answer: (request: IncomingMessage, url: URL, body: string) => Said): Promise<string> {
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += String(chunk)
    const { status = 200, body } = answer(request, new URL(request.url ?? '/', 'http://here'), text)
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  onTestFinished(() => void server.close())
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

const newKey = () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  return { pem: publicKey, key: createPrivateKey(privateKey) }
}

/** Of a digest, as both services sign it: neither sees what was hashed. */
function signed(key: KeyObject, digest: Buffer, format: 'der' | 'compact'): Buffer {
  expect(digest).toHaveLength(32)
  const { d } = key.export({ format: 'jwk' })
  return Buffer.from(p256.sign(digest, Buffer.from(d!, 'base64url'), { prehash: false, format }))
}

const keyRing = 'projects/bank/locations/europe-west1/keyRings/mesh'

async function google() {
  const keys = new Map<string, ReturnType<typeof newKey>>()
  const seen: string[] = []
  let pending = 2
  const state = { refusal: undefined as Said | undefined, keys, seen }
  const fault = (status: number, word: string): Said => ({
    status,
    body: { error: { code: status, message: 'because', status: word } },
  })
  const host = await serve((request, url, text) => {
    if (url.pathname.startsWith('/computeMetadata/')) {
      expect(request.headers['metadata-flavor']).toBe('Google')
      expect(url.pathname).toBe('/computeMetadata/v1/instance/service-accounts/default/token')
      return { body: { access_token: 'ya29.token', expires_in: 3599, token_type: 'Bearer' } }
    }
    seen.push(`${request.method} ${url.pathname}`)
    if (request.headers.authorization !== 'Bearer ya29.token') return fault(401, 'UNAUTHENTICATED')
    if (state.refusal) return state.refusal
    const body = text === '' ? {} : (JSON.parse(text) as Body)
    if (request.method === 'POST' && url.pathname === `/v1/${keyRing}/cryptoKeys`) {
      const id = url.searchParams.get('cryptoKeyId') ?? ''
      expect(id).toMatch(/^[\w-]{1,63}$/)
      expect(body).toEqual({
        purpose: 'ASYMMETRIC_SIGN',
        versionTemplate: { algorithm: 'EC_SIGN_P256_SHA256', protectionLevel: 'HSM' },
      })
      const name = `${keyRing}/cryptoKeys/${id}`
      keys.set(`${name}/cryptoKeyVersions/1`, newKey())
      return { body: { name, ...body } }
    }
    const [, name = '', verb] = /^\/v1\/(.*?)(?:\/(publicKey)|:\w+)?$/.exec(url.pathname) ?? []
    const held = keys.get(name)
    if (!held) return fault(404, 'NOT_FOUND')
    if (verb === 'publicKey' && request.method === 'GET') {
      if (pending-- > 0) return fault(400, 'FAILED_PRECONDITION') // PENDING_GENERATION
      return { body: { name, algorithm: 'EC_SIGN_P256_SHA256', pem: held.pem } }
    }
    if (url.pathname.endsWith(':destroy')) return { body: { name, state: keys.delete(name) && 'DESTROY_SCHEDULED' } }
    expect(url.pathname.endsWith(':asymmetricSign')).toBe(true)
    const { sha256 } = body['digest'] as { readonly sha256: string }
    return { body: { name, signature: signed(held.key, Buffer.from(sha256, 'base64'), 'der').toString('base64') } }
  })
  const rootKeys = (token = () => gcpToken(host)) =>
    gcpKmsRootKeys({ keyRing, endpoint: `http://${host}`, token, random, waitMs: 1 })
  return { ...state, state, rootKeys, fault, isGone: (): boolean => seen.at(-1)?.endsWith(':destroy') === true }
}

async function azure() {
  const keys = new Map<string, ReturnType<typeof newKey>>()
  const seen: string[] = []
  const state = { refusal: undefined as Said | undefined, keys, seen, elsewhere: false }
  const fault = (status: number, word: string): Said => ({
    status,
    body: { error: { code: word, message: 'because' } },
  })
  let base = ''
  const host = await serve((request, url, text) => {
    seen.push(`${request.method} ${url.pathname}`)
    if (request.headers.authorization !== 'Bearer eyJ.token') return fault(401, 'Unauthorized')
    if (state.refusal) return state.refusal
    expect(url.search).toBe('?api-version=7.4')
    const body = text === '' ? {} : (JSON.parse(text) as Body)
    const [, , name = '', last = '', verb] = url.pathname.split('/')
    if (request.method === 'POST' && last === 'create') {
      expect(name).toMatch(/^[0-9a-zA-Z-]{1,127}$/)
      expect(body).toEqual({ kty: 'EC-HSM', crv: 'P-256', key_ops: ['sign', 'verify'] })
      const version = 'ab'.repeat(16)
      keys.set(`${name}/${version}`, newKey())
      return { body: keyBody(name, version) }
    }
    if (request.method === 'DELETE') {
      const gone = [...keys.keys()].filter((key) => key.startsWith(`${name}/`))
      for (const key of gone) keys.delete(key)
      return gone.length > 0 ? { body: { recoveryId: 'x' } } : fault(404, 'KeyNotFound')
    }
    const held = keys.get(`${name}/${last}`)
    if (!held) return fault(404, 'KeyNotFound')
    if (request.method === 'GET') return { body: keyBody(name, last) }
    expect([verb, body['alg']]).toEqual(['sign', 'ES256'])
    const value = signed(held.key, Buffer.from(String(body['value']), 'base64url'), 'compact').toString('base64url')
    return { body: { kid: `${base}/keys/${name}/${last}`, value } }
  })
  base = `http://${host}`
  function keyBody(name: string, version: string): unknown {
    const { x, y } = keys.get(`${name}/${version}`)!.key.export({ format: 'jwk' })
    const vault = state.elsewhere ? 'https://mallory.vault.azure.net' : base
    return { key: { kid: `${vault}/keys/${name}/${version}`, kty: 'EC-HSM', crv: 'P-256', x, y } }
  }
  const rootKeys = (token = async () => 'eyJ.token') => azureRootKeys({ vault: base, token, random })
  return {
    ...state,
    state,
    rootKeys,
    fault,
    isGone: (): boolean => seen.at(-1)?.startsWith('DELETE /keys/writ-root-') === true,
  }
}

interface Cloud {
  readonly keys: ReadonlyMap<string, unknown>
  rootKeys(token?: () => Promise<string>): RootKeys
  isGone(): boolean
}

test.each<[string, () => Promise<Cloud>]>([
  ['Google Cloud KMS', google],
  ['Azure Key Vault', azure],
])(
  'a root whose key %s holds signs issuers, also after a restart, and its key goes with its withdrawal',
  async (_, open) => {
    const cloud = await open()
    let nowMs = noonMs
    const dir = `${tempFolder()}/ca`
    const authority = () =>
      newAuthority(bank, () => nowMs, {
        ...{ dir, maxLeafMs: 60_000, keys: cloud.rootKeys(), times: { publishMs: 0, skewMs: 0 } },
      })
    const first = await authority()
    const svid = newSvid(first)
    expect(verifySvid(svid.chain, first.bundle(), nowMs, verifySignature).ok).toBe(true)
    const again = await authority()
    await again.rotateIssuer(false)
    expect(newSvid(again).chain[1]).not.toEqual(svid.chain[1])
    expect(verifySvid(newSvid(again).chain, first.bundle(), nowMs, verifySignature).ok).toBe(true)

    await again.prepare()
    await again.activate()
    nowMs += 60_000
    expect(await again.maintain({ waiting: [], heardSinceMs: 0 })).toMatchObject([{ action: 'withdrawn' }])
    expect([cloud.isGone(), cloud.keys.size]).toEqual([true, 1])
  },
)

test('a key that is gone is no error to destroy, and one of another place is not opened', async () => {
  const [one, other] = [await google(), await azure()]
  for (const cloud of [one, other]) {
    const { ref } = await cloud.rootKeys().create()
    await cloud.rootKeys().destroy(ref)
    await cloud.rootKeys().destroy(ref)
    await expect(cloud.rootKeys().open(ref)).rejects.toMatchObject({ code: 'not_found' })
    await cloud.rootKeys().destroy('awskms:arn:x')
    for (const ref of ['awskms:arn:x', 'gcpkms:projects/x', 'azurekeys:https://mallory.vault.azure.net/keys/k/0'])
      await expect(cloud.rootKeys().open(ref)).rejects.toThrow('names no key of')
  }
  other.state.elsewhere = true // A token of ours must go to our vault alone.
  await expect(other.rootKeys().create()).rejects.toThrow('without a key of this vault')
})

test('what the services refuse is told with its cause and a cure', async () => {
  const [one, other] = [await google(), await azure()]
  const told = async (cloud: { rootKeys(): RootKeys; state: { refusal: Said | undefined } }, refusal: Said) => {
    cloud.state.refusal = refusal
    return cloud
      .rootKeys()
      .create()
      .catch((thrown: { code: string; cure: string; message: string }) => thrown)
  }
  for (const [status, word, code, cure] of [
    [403, 'PERMISSION_DENIED', 'forbidden', 'roles/cloudkms'],
    [404, 'NOT_FOUND', 'not_found', 'key ring'],
    [429, 'RESOURCE_EXHAUSTED', 'unavailable', 'quota'],
    [500, 'INTERNAL', 'unavailable', 'service'],
  ] as const) {
    const message = expect.stringContaining(`${status} ${word}: because`)
    expect(await told(one, one.fault(status, word))).toMatchObject({
      code,
      message,
      cure: expect.stringContaining(cure),
    })
  }
  for (const [status, word, code, cure] of [
    [403, 'Forbidden', 'forbidden', 'Crypto Officer'],
    [409, 'Conflict', 'unavailable', 'purged'],
    [429, 'Throttled', 'unavailable', 'throttles'],
  ] as const) {
    const message = expect.stringContaining(`${status} ${word}: because`)
    expect(await told(other, other.fault(status, word))).toMatchObject({
      code,
      message,
      cure: expect.stringContaining(cure),
    })
  }
  const token = async () => 'another'
  await expect((await google()).rootKeys(token).create()).rejects.toMatchObject({ code: 'unauthorized' })
  await expect((await azure()).rootKeys(token).create()).rejects.toMatchObject({ code: 'unauthorized' })
  await expect(gcpToken('127.0.0.1:1')).rejects.toMatchObject({ code: 'unauthorized' })
  const away = { keyRing, endpoint: 'http://127.0.0.1:1', token, random }
  await expect(gcpKmsRootKeys(away).create()).rejects.toMatchObject({ code: 'unavailable' })
  expect(() => gcpKmsRootKeys({ ...away, endpoint: 'http://kms.example' })).toThrow('no place of Google')
  expect(() => gcpKmsRootKeys({ ...away, keyRing: 'projects/x/../y' })).toThrow('no place of Google')
  expect(() => azureRootKeys({ vault: 'http://bank.vault.azure.net', token, random })).toThrow('no address of a vault')
})

test('Azure gives a token to a workload identity by its federated token, else to the machine’s identity', async () => {
  const asked: string[] = []
  const host = await serve((request, url, text) => {
    asked.push(`${request.method} ${url.pathname} ${url.pathname.startsWith('/metadata') ? url.search.slice(1) : text}`)
    if (url.pathname.startsWith('/metadata') && request.headers['metadata'] !== 'true') return { status: 400, body: {} }
    return { body: { access_token: 'eyJ.token', expires_in: '3599' } }
  })
  const vault = 'https://bank.vault.azure.net'
  const metadata = `http://${host}`
  expect(await azureToken(vault, { metadata })).toBe('eyJ.token')
  await azureToken(vault, { metadata, AZURE_CLIENT_ID: 'me' })
  const workload = { AZURE_AUTHORITY_HOST: metadata, AZURE_CLIENT_ID: 'me', AZURE_TENANT_ID: 'bank' }
  await azureToken('https://bank.managedhsm.azure.net/', { ...workload, federatedToken: 'sa.token' })
  const [machine, user, federated] = asked.map((line) => {
    const [method, path, form] = line.split(' ')
    return { method, path, form: Object.fromEntries(new URLSearchParams(form)) }
  })
  const ours = { method: 'GET', path: '/metadata/identity/oauth2/token' }
  const form = { 'api-version': '2018-02-01', resource: 'https://vault.azure.net' }
  expect([machine, user]).toEqual([
    { ...ours, form },
    { ...ours, form: { ...form, client_id: 'me' } },
  ])
  expect(federated).toEqual({
    ...{ method: 'POST', path: '/bank/oauth2/v2.0/token' },
    form: {
      ...{ grant_type: 'client_credentials', client_id: 'me', scope: 'https://managedhsm.azure.net/.default' },
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: 'sa.token',
    },
  })
  const open = { ...workload, AZURE_AUTHORITY_HOST: 'http://login.example', federatedToken: 'sa.token' }
  await expect(async () => azureToken(vault, open)).rejects.toMatchObject({ code: 'config_invalid' })
})

test('whatever a service answers, a key is had or a fault is told', async () => {
  let body: unknown
  const host = await serve(() => ({ body }))
  const token = async () => 'token'
  const both = [
    () => gcpKmsRootKeys({ keyRing, endpoint: `http://${host}`, token, random, waitMs: 0 }).create(),
    () => azureRootKeys({ vault: `http://${host}`, token, random }).create(),
  ]
  const names = fc.constantFrom('key', 'kid', 'name', 'pem', 'x', 'y', 'crv', 'error')
  const answers = fc.oneof(fc.jsonValue(), fc.dictionary(names, fc.jsonValue()))
  await fc.assert(
    fc.asyncProperty(answers, async (answer) => {
      body = answer
      for (const create of both) await expect(create()).rejects.toHaveProperty('cure')
    }),
    { numRuns: 50 },
  )
})
