import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { verifySignature } from '../../../ca/node/crypto.ts'
import { pemOf } from '../../../ca/node/pem.ts'
import { type VaultPlace, vaultUpstream } from '../../../ca/node/vault.ts'
import { requestOf } from '../../../ca/pem.ts'
import { verifySvid } from '../../../ca/svid.ts'
import { parseCertificate } from '../../../ca/x509.ts'
import { buildGoSource } from '../../parts/go-source.ts'
import { above } from '../above.ts'
import { bank, newAuthority, newSvid, noonMs, orders, tempFolder } from '../world.ts'

/** A stand-in that speaks as much of Vault's documented API as is asked for: POST /v1/MOUNT/root/sign-intermediate. */
async function vault(answers: (headers: IncomingHttpHeaders) => { status: number; body: unknown } | undefined) {
  const asked: {
    readonly path: string
    readonly headers: IncomingHttpHeaders
    readonly body: Record<string, unknown>
  }[] = []
  const ca = above(() => noonMs)
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += String(chunk)
    const body = JSON.parse(text) as Record<string, string>
    asked.push({ path: request.url!, headers: request.headers, body })
    const other = answers(request.headers)
    if (other) return void response.writeHead(other.status).end(JSON.stringify(other.body))
    const csr = requestOf(body['csr']!)!
    const chain = await ca.sign({ csr, trustDomain: bank, commonName: body['common_name']!, lifeMs: 0 })
    const [certificate, ...ca_chain] = chain.map((der) => pemOf(der, 'CERTIFICATE'))
    return void response.end(JSON.stringify({ data: { certificate, issuing_ca: ca_chain[0], ca_chain } }))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  onTestFinished(() => void server.close())
  return { asked, address: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

const tokenFile = (token: string): string => {
  const path = join(tempFolder(), 'token')
  writeFileSync(path, `${token}\n`)
  return path
}
const open = (place: VaultPlace) => newAuthority(bank, () => noonMs, { upstream: vaultUpstream(place) })

test('Vault signs the issuer: asked with its token, for our names alone and no signers below', async () => {
  const { asked, address } = await vault(() => undefined)
  const authority = await open({ address, mount: 'mesh/pki', namespace: 'team', tokenFile: tokenFile('s.1') })
  expect(verifySvid(newSvid(authority).chain, authority.bundle(), noonMs, verifySignature)).toMatchObject({
    ok: true,
    identity: { id: orders },
  })
  expect(asked).toMatchObject([
    {
      path: '/v1/mesh/pki/root/sign-intermediate',
      headers: { 'x-vault-token': 's.1', 'x-vault-namespace': 'team' },
      body: {
        ...{ uri_sans: 'spiffe://bank.example', permitted_uri_domains: bank, max_path_length: 0, ttl: '31536000s' },
      },
    },
  ])
})

test.each([
  [403, ['permission denied'], 'forbidden', 'capabilities'],
  [404, ['no handler for route'], 'not_found', 'enable the PKI secrets engine at pki'],
  [503, ['Vault is sealed'], 'unavailable', 'unseal Vault'],
  [400, ['unsupported key'], 'certificate_invalid', 'log'],
  [500, [], 'unavailable', 'log'],
])('its refusal by %i says why, and what to do', async (status, errors, code, cure) => {
  const { address } = await vault(() => ({ status, body: { errors } }))
  await expect(open({ address, tokenFile: tokenFile('s.1') })).rejects.toMatchObject({
    code,
    message: expect.stringContaining(errors[0] ?? '500'),
    cure: expect.stringContaining(cure),
  })
})

test('what is no answer of Vault, no token and no safe address are told', async () => {
  const { address } = await vault(() => ({ status: 200, body: ['hello'] }))
  await expect(open({ address, tokenFile: tokenFile('s.1') })).rejects.toThrow('without a certificate and its ca_chain')
  await expect(open({ address, tokenFile: '/nowhere/token' })).rejects.toMatchObject({ code: 'unavailable' })
  await expect(open({ address: 'http://127.0.0.1:1', tokenFile: tokenFile('s.1') })).rejects.toThrow('does not answer')
  for (const address of ['http://vault.example:8200', 'vault', 'ftp://127.0.0.1'])
    expect(() => vaultUpstream({ address, tokenFile: '' })).toThrow('is no address of Vault')
})

// Some minutes where its modules are not there yet: npm run ca:vault.
test.skipIf(!process.env['VAULT'])(
  "Vault's own PKI secrets engine signs issuers whose leaves hold",
  { timeout: 3_600_000 },
  async () => {
    const program = await buildGoSource('go', 'test/ca/vault', 'vaultpki')
    onTestFinished(() => rmSync(dirname(program), { recursive: true }))
    const child = spawn(program, ['s.1'], { stdio: ['ignore', 'pipe', 'inherit'] })
    onTestFinished(() => void child.kill())
    const [port] = (await once(child.stdout, 'data')) as [Buffer]
    const address = `http://127.0.0.1:${String(port).trim()}`
    const root = { common_name: 'Root', ttl: '87600h', key_type: 'rsa', key_bits: 3072 }
    const made = await fetch(`${address}/v1/pki/root/generate/internal`, {
      ...{ method: 'POST', headers: { 'x-vault-token': 's.1' }, body: JSON.stringify(root) },
    })
    expect(made.status).toBe(200)

    const upstream = vaultUpstream({ address, tokenFile: tokenFile('s.1') })
    const authority = await newAuthority(bank, Date.now, { upstream })
    const { chain } = newSvid(authority)
    expect(verifySvid(chain, authority.bundle(), Date.now(), verifySignature)).toMatchObject({ ok: true })
    const issuer = parseCertificate(chain[1]!)
    expect('certificate' in issuer && issuer.certificate.extensions).toMatchObject({
      subjectAltName: { uris: ['spiffe://bank.example'], dns: [] },
      basicConstraints: { ca: true, pathLen: 0 },
      nameConstraints: { permitted: { uris: ['bank.example'] } },
    })
    await expect(open({ address, tokenFile: tokenFile('s.2') })).rejects.toMatchObject({ code: 'forbidden' })
    await expect(open({ address, mount: 'other', tokenFile: tokenFile('s.1') })).rejects.toMatchObject({
      code: 'not_found',
    })
  },
)
