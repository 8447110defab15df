import forge from 'node-forge'
import { expect, test } from 'vitest'
import { keyIdOf, newKeyPair, privateKeyOf, signDer, verifySignature } from '../../ca/node/crypto.ts'
import { type CertificateFields, nameOf, newSerial, writeCertificate } from '../../ca/node/write.ts'
import { verifySvid } from '../../ca/svid.ts'
import { concat, fromHex } from '../../core/bytes.ts'
import { bank, domain, noonMs, orders, random } from './world.ts'

/** Each rule of the X509-SVID standard and of the path check, with one extension changed to its other side. */

const ids = { basic: '551d13', usage: '551d0f', names: '551d11', purposes: '551d25', constraints: '551d1e' }

const rootKeys = newKeyPair()
const issuerKeys = newKeyPair()
const key = (keys: { keyPem: string }) => privateKeyOf(keys.keyPem)

const rootName = nameOf('root')
const issuerName = nameOf('issuer')

const signer: CertificateFields = {
  serial: newSerial(random),
  issuer: rootName,
  subject: rootName,
  notBeforeMs: noonMs - 60_000,
  notAfterMs: noonMs + 3_600_000,
  spki: rootKeys.spki,
  uris: ['spiffe://bank.example'],
  dns: [],
  constrainTo: undefined,
  ca: { pathLen: undefined },
  issuerKeyId: keyIdOf(rootKeys.spki),
}
const issuer: CertificateFields = { ...signer, subject: issuerName, spki: issuerKeys.spki }
const leaf: CertificateFields = {
  ...signer,
  issuer: issuerName,
  subject: nameOf(),
  spki: newKeyPair().spki,
  uris: [orders],
  ca: undefined,
  issuerKeyId: keyIdOf(issuerKeys.spki),
}

interface Chain {
  readonly root?: Partial<CertificateFields>
  readonly issuer?: Partial<CertificateFields>
  readonly leaf?: Partial<CertificateFields>
  readonly edit?: { readonly root?: Edit; readonly issuer?: Edit; readonly leaf?: Edit }
}

/** An extension's OID and what stands after it: `01 01 ff` for critical, then the OCTET STRING; undefined drops it. */
type Edit = readonly [oid: string, rest: string | undefined]

function answer(chain: Chain): string {
  const root = write({ ...signer, ...chain.root }, rootKeys, chain.edit?.root)
  const middle = write({ ...issuer, ...chain.issuer }, rootKeys, chain.edit?.issuer)
  const end = write({ ...leaf, ...chain.leaf }, issuerKeys, chain.edit?.leaf)
  const bundle = { trustDomain: bank, sequence: 1, roots: [root] }
  const result = verifySvid([end, middle], bundle, noonMs, verifySignature)
  return result.ok ? 'ok' : `${result.code}: ${result.detail}`
}

function write(fields: CertificateFields, keys: { keyPem: string }, edit: Edit | undefined): Uint8Array {
  const der = writeCertificate(fields, key(keys))
  if (!edit) return der
  const { asn1 } = forge
  const parse = (bytes: Uint8Array) =>
    asn1.fromDer(Buffer.from(bytes).toString('latin1'), { decodeBitStrings: false } as never)
  const encode = (node: forge.asn1.Asn1) => new Uint8Array(Buffer.from(asn1.toDer(node).getBytes(), 'latin1'))
  const whole = parse(der).value as forge.asn1.Asn1[]
  const tbs = whole[0]!
  const wrapper = (tbs.value as forge.asn1.Asn1[]).at(-1)!
  const list = (wrapper.value as forge.asn1.Asn1[])[0]!
  const [oid, rest] = edit
  const others = (list.value as forge.asn1.Asn1[]).filter(
    (item) => !Buffer.from(encode(item)).includes(`0603${oid}`, 0, 'hex'),
  )
  if (rest !== undefined) {
    const body = concat(fromHex(`0603${oid}`)!, fromHex(rest.replaceAll(' ', ''))!)
    others.push(parse(concat(new Uint8Array([0x30, body.length]), body)))
  }
  list.value = others
  const signed = encode(tbs)
  const signature = signDer(key(keys), signed)
  whole[2]!.value = Buffer.from([0, ...signature]).toString('latin1')
  return encode(asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SEQUENCE, true, whole))
}

test('the chain that all others here differ from is good', () => {
  expect(answer({})).toBe('ok')
})

const critical = '0101ff'

test.each<[rule: string, why: string, bad: Chain, good: Chain | undefined]>([
  [
    'X-2: the id of a leaf has a path',
    'no SPIFFE ID of a workload',
    { leaf: { uris: ['spiffe://bank.example'] } },
    undefined,
  ],
  [
    'X-2: which is of the scheme spiffe',
    'no SPIFFE ID of a workload',
    { leaf: { uris: ['https://bank.example/orders'] } },
    undefined,
  ],
  [
    'X-3: a leaf is no CA',
    'a signing certificate',
    { edit: { leaf: [ids.basic, `${critical} 0405 30030101ff`] } },
    { edit: { leaf: [ids.basic, undefined] } },
  ],
  [
    'X-4: a leaf has a key usage',
    'key usage missing',
    { edit: { leaf: [ids.usage, undefined] } },
    { edit: { leaf: [ids.usage, `${critical} 0404 03020780`] } },
  ],
  ['X-4: which is critical', 'not critical', { edit: { leaf: [ids.usage, '0404 03020780'] } }, undefined],
  [
    'X-4: with digitalSignature',
    'without digitalSignature',
    { edit: { leaf: [ids.usage, `${critical} 0404 03020560`] } },
    { edit: { leaf: [ids.usage, `${critical} 0404 030205e0`] } },
  ],
  [
    'X-4: without keyCertSign',
    'may sign others',
    { edit: { leaf: [ids.usage, `${critical} 0404 03020284`] } },
    { edit: { leaf: [ids.usage, `${critical} 0404 03020388`] } },
  ],
  ['X-4: without cRLSign', 'may sign others', { edit: { leaf: [ids.usage, `${critical} 0404 03020182`] } }, undefined],
  [
    'X-5: an extended key usage names server and client',
    'without both serverAuth',
    { edit: { leaf: [ids.purposes, '040c 300a06082b06010505070301'] } },
    { edit: { leaf: [ids.purposes, undefined] } },
  ],
  [
    'X-6: without a subject the names are critical',
    'without critical names',
    { edit: { leaf: [ids.names, `0423 3021 861f${Buffer.from('spiffe://bank.example/orders/v1').toString('hex')}`] } },
    { leaf: { subject: nameOf('orders') } },
  ],
  ['X-7: a signer is a CA', 'a signer that is no CA', { issuer: { ca: undefined } }, undefined],
  [
    'X-7: a signer may sign certificates',
    'without critical keyCertSign',
    { edit: { issuer: [ids.usage, `${critical} 0404 03020102`] } },
    { edit: { issuer: [ids.usage, `${critical} 0404 03020204`] } },
  ],
  [
    'X-7: a root may, too',
    'no root of its trust domain',
    { edit: { root: [ids.usage, `${critical} 0404 03020102`] } },
    undefined,
  ],
  [
    'X-7: a signer has no path',
    'a signer named',
    { issuer: { uris: ['spiffe://bank.example/ca'] } },
    { issuer: { uris: [] } },
  ],
  [
    'X-7: a signer is not named after another trust domain',
    'a signer named',
    { issuer: { uris: ['spiffe://other.example'] } },
    undefined,
  ],
  [
    'X-9: a constraint on URIs holds',
    'is not permitted',
    { issuer: { constrainTo: 'other.example' } },
    { issuer: { constrainTo: 'bank.example' } },
  ],
  ['X-9: it stands for its host alone', 'is not permitted', { issuer: { constrainTo: 'example' } }, undefined],
  [
    'X-9: with a dot, for what is below it',
    'is not permitted',
    { issuer: { constrainTo: '.bank.example' } },
    { issuer: { constrainTo: '.example' } },
  ],
  [
    'X-9: on the root, too',
    'is not permitted',
    { root: { constrainTo: 'other.example' } },
    { root: { constrainTo: 'bank.example' } },
  ],
  [
    'X-8: a path is no longer than the root says',
    'a path longer than allowed',
    { root: { ca: { pathLen: 0 } } },
    { root: { ca: { pathLen: 1 } } },
  ],
  [
    'X-8: what is critical is understood',
    'unknown critical extension 2.5.29.32',
    { edit: { leaf: ['551d20', `${critical} 0402 3000`] } },
    { edit: { leaf: ['551d20', '0402 3000'] } },
  ],
  [
    'X-8: also on a root',
    'unknown critical extension 2.5.29.32',
    { edit: { root: ['551d20', `${critical} 0402 3000`] } },
    { edit: { root: ['551d20', '0402 3000'] } },
  ],
  [
    'X-8: a leaf has no name constraints',
    'name constraints on a leaf',
    { leaf: { constrainTo: 'bank.example' } },
    undefined,
  ],
  [
    'X-8: an issuer that has ended ends its leaves',
    'not valid after',
    { issuer: { notAfterMs: noonMs - 1000 } },
    { issuer: { notAfterMs: noonMs } },
  ],
  [
    'X-8: a root that has ended ends all',
    'not valid after',
    { root: { notAfterMs: noonMs - 1000 } },
    { root: { notAfterMs: noonMs } },
  ],
  ['X-8: names chain', 'the next one did not issue', { leaf: { issuer: nameOf('issuer2') } }, undefined],
  [
    'X-8: a CA says so critically',
    'a signer that is no CA',
    { edit: { issuer: [ids.basic, '0405 30030101ff'] } },
    { edit: { issuer: [ids.basic, `${critical} 0405 30030101ff`] } },
  ],
])('%s', (_, why, bad, good) => {
  expect(answer(bad)).toContain(why)
  if (good) expect(answer(good)).toBe('ok')
})

test('a leaf signed by another key than its issuer names is refused', () => {
  const root = writeCertificate(signer, key(rootKeys))
  const middle = writeCertificate(issuer, key(rootKeys))
  const forged = writeCertificate(leaf, key(newKeyPair()))
  const bundle = { trustDomain: bank, sequence: 1, roots: [root] }
  expect(verifySvid([forged, middle], bundle, noonMs, verifySignature)).toMatchObject({
    ok: false,
    code: 'identity_invalid',
  })
})

test('a bundle of another trust domain does not vouch, though its root signed the chain', () => {
  const root = writeCertificate(signer, key(rootKeys))
  const chain = [writeCertificate(leaf, key(issuerKeys)), writeCertificate(issuer, key(rootKeys))]
  const as = (trustDomain: typeof bank) =>
    verifySvid(chain, { trustDomain, sequence: 1, roots: [root] }, noonMs, verifySignature)
  expect(as(bank)).toMatchObject({ ok: true })
  expect(as(domain('other.example'))).toMatchObject({ ok: false, code: 'identity_untrusted' })
})
