import { afterAll, beforeAll, expect, vi } from 'vitest'
import { newKeyPair, privateKeyOf } from '../../../ca/node/crypto.ts'
import { writeIssuerCsr } from '../../../ca/node/write.ts'
import { parseCertificate } from '../../../ca/x509.ts'
import { startChild } from '../../parts/child.ts'
import { needs, pathOf } from '../../parts/needs.ts'
import { above } from '../above.ts'
import { domain, id, newAuthority, orders } from '../world.ts'
import { ask, buildWorkload, hold, removeWorkload, serveWorkload } from './kit.ts'

/** Whoever asks here is go-spiffe, as its users have it. */

const test = needs('go')
let program: string
beforeAll(async () => {
  program = await buildWorkload(pathOf('go'))
})
afterAll(() => removeWorkload(program))

const bank = () => newAuthority(undefined, Date.now)

const serialOf = (der: Uint8Array): string => {
  const read = parseCertificate(der)
  return 'certificate' in read ? read.certificate.serial : read.wrong
}

test('go-spiffe gets its certificate at once and each rotation after it', async () => {
  const held = hold(await bank())
  const { url } = await serveWorkload(held)
  const watching = startChild(program, ['watch', url, '3'])
  const seen: string[] = []
  const now = (): string => serialOf(held.current().svids[0]!.svid.chain[0]!)
  for (const turn of [1, 2, 3]) {
    seen.push(`svid ${orders} ${now()}  1 of 2`)
    await vi.waitFor(() => expect(watching.logs().trim().split('\n')).toEqual(seen), 20_000)
    if (turn < 3) held.rotate()
  }
  expect(await watching.ended).toBe(0)
  await vi.waitFor(() => expect(held.watchers()).toBe(0))
})

test('a chain of three under an offline root verifies, also after its issuer and its root were followed by others', async () => {
  const root = above(Date.now)
  const bank = await newAuthority(undefined, Date.now, { times: { publishMs: 0, skewMs: 0 } })
  const signed = async (): Promise<void> => {
    const { spki, keyPem } = newKeyPair()
    const csr = writeIssuerCsr(spki, privateKeyOf(keyPem), bank.trustDomain, 'issuer')
    const chain = await root.sign({ csr, trustDomain: bank.trustDomain, commonName: 'issuer', lifeMs: 86_400_000 })
    await bank.import(chain, keyPem)
  }
  await signed()
  await bank.activate()
  const held = hold(bank)
  const { url } = await serveWorkload(held)
  const watching = startChild(program, ['watch', url, '4'])
  const seen: string[] = []
  const turns = [
    held.rotate,
    () => signed().then(held.rotate),
    async () => {
      root.turn()
      await signed()
      await bank.activate()
      held.rotate()
    },
  ]
  for (const turn of [...turns, undefined]) {
    const { chain } = held.current().svids[0]!.svid
    seen.push(`svid ${orders} ${serialOf(chain[0]!)}  1 of 3`)
    await vi.waitFor(() => expect(watching.logs().trim().split('\n')).toEqual(seen), 20_000)
    await turn?.()
  }
  expect(await watching.ended).toBe(0)

  const serving = startChild(program, ['talk', url, 'bank.example'])
  try {
    await serving.printed(/port \d+/, 20_000)
    const at = `https://127.0.0.1:${/port (\d+)/.exec(serving.logs())![1]}/`
    expect(await ask(program, 'call', url, at, orders)).toEqual([`200 hello ${orders}`])
  } finally {
    await serving.kill()
  }
})

test('several identities come in their order, each with its hint, and federated bundles beside them', async () => {
  const authority = await bank()
  const other = await newAuthority(domain('other.example'), Date.now)
  const held = hold(authority, [orders, id('spiffe://bank.example/ledger')])
  held.trust(other.bundle())
  const { url } = await serveWorkload(held)
  const lines = (await ask(program, 'watch', url, '1')).map((line) => line.replace(/ [0-9a-f]{32} /, ' '))
  expect(lines).toEqual([
    'svid spiffe://bank.example/orders  2 of 2',
    'svid spiffe://bank.example/ledger hint-1 2 of 2',
  ])
  expect(await ask(program, 'federation', url)).toEqual(['bundles bank.example:1 other.example:1'])
})

test('JWT-SVIDs are made for one audience or several, and are valid for those alone', async () => {
  const { url } = await serveWorkload(hold(await bank()))
  const lines = await ask(program, 'jwt', url, 'https://one.example', 'two')
  expect(lines.slice(0, -1)).toEqual([
    ...[`local ${orders} https://one.example`, `remote ${orders} ${orders}`],
    ...[`local ${orders} two`, `remote ${orders} ${orders}`],
    ...['other audience InvalidArgument', 'other id PermissionDenied', 'no audience InvalidArgument'],
  ])
})

test('a token of another trust domain is valid where its bundle is held, and not where it is not', async () => {
  const other = await newAuthority(domain('other.example'), Date.now)
  const { token } = await other.mintJwt({ id: id('spiffe://other.example/x'), audience: 'me' })
  const held = hold(await bank())
  const { url } = await serveWorkload(held)
  await expect(ask(program, 'validate', url, token, 'me')).rejects.toThrow('identity_untrusted')
  held.trust(other.bundle())
  expect(await ask(program, 'validate', url, token, 'me')).toEqual(['valid spiffe://other.example/x'])
})

test('without the header nothing is answered, and what is optional is unimplemented', async () => {
  const held = hold(await bank(), [])
  const { url } = await serveWorkload(held)
  const methods = ['FetchX509SVID', 'FetchX509Bundles', 'FetchJWTSVID', 'FetchJWTBundles', 'ValidateJWTSVID']
  expect(await ask(program, 'codes', url)).toEqual([
    ...methods.flatMap((name) => [`no header ${name} InvalidArgument`, `TRUE ${name} InvalidArgument`]),
    // Nothing is registered for it here.
    ...['FetchX509SVID', 'FetchX509Bundles', 'FetchJWTBundles'].map((name) => `header ${name} PermissionDenied`),
    ...['FetchWITSVID', 'FetchWITBundles', 'Surprise'].map((name) => `header ${name} Unimplemented`),
  ])
})

test('a stream whose identities are withdrawn ends with PermissionDenied', async () => {
  const held = hold(await bank())
  const { url } = await serveWorkload(held)
  const watching = startChild(program, ['watch', url, '2'])
  await watching.printed(/svid /, 20_000)
  held.give([])
  await watching.printed(/watch error PermissionDenied/, 20_000)
  await watching.kill()
})

test('two programs that know the Workload API alone speak mTLS with each other', async () => {
  const authority = await bank()
  const server = await serveWorkload(hold(authority))
  const client = await serveWorkload(hold(authority, [id('spiffe://bank.example/web')]))
  const serving = startChild(program, ['talk', server.url, 'bank.example'])
  try {
    await serving.printed(/port \d+/, 20_000)
    const url = `https://127.0.0.1:${/port (\d+)/.exec(serving.logs())![1]}/`
    expect(await ask(program, 'call', client.url, url, orders)).toEqual(['200 hello spiffe://bank.example/web'])
    await expect(ask(program, 'call', client.url, url, 'spiffe://bank.example/other')).rejects.toThrow('unexpected ID')
  } finally {
    await serving.kill()
  }
})
