import { createHash, createHmac, createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { p256 } from '@noble/curves/nist.js'
import { expect, onTestFinished, test } from 'vitest'
import { signerOf } from '../../../audit/node/objects/s3.ts'
import { awsKmsRootKeys } from '../../../ca/node/aws-kms.ts'
import { verifySignature } from '../../../ca/node/crypto.ts'
import { verifySvid } from '../../../ca/svid.ts'
import { bank, newAuthority, newSvid, noonMs, tempFolder } from '../world.ts'

const region = 'eu-central-1'
const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI', sessionToken: 'session' }

/** AWS Signature Version 4 by its own words, not by the library that signs. */
function isSigned({ method, url, headers }: IncomingMessage, body: string): boolean {
  const found = /^AWS4-HMAC-SHA256 Credential=(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})$/.exec(
    headers.authorization ?? '',
  )
  if (!found) return false
  const [, credential = '', names = '', signature] = found
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
  const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()
  const time = String(headers['x-amz-date'])
  const scope = `${time.slice(0, 8)}/${region}/kms/aws4_request`
  const lines = names.split(';').map((name) => `${name}:${String(headers[name]).trim()}\n`)
  const canonical = [method, url, '', lines.join(''), names, sha256(body)].join('\n')
  const key = scope.split('/').reduce<string | Buffer>(hmac, `AWS4${credentials.secretAccessKey}`)
  const expected = hmac(key, ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n')).toString('hex')
  const required = ['host', 'x-amz-date', 'x-amz-security-token', 'x-amz-target']
  return (
    credential === `${credentials.accessKeyId}/${scope}` &&
    required.every((name) => names.split(';').includes(name)) &&
    signature === expected
  )
}

/** A stand-in of AWS KMS that checks each request's signature and signs by keys of its own. */
async function kms() {
  const keys = new Map<string, { readonly privateKey: KeyObject; readonly spki: Buffer }>()
  let refusal: { readonly status: number; readonly type: string } | undefined
  const operations: string[] = []
  const answer = (operation: string, input: Record<string, string>): unknown => {
    if (operation === 'CreateKey') {
      if (input['KeySpec'] !== 'ECC_NIST_P256' || input['KeyUsage'] !== 'SIGN_VERIFY') return undefined
      const { publicKey, privateKey } = generateKeyPairSync('ec', {
        namedCurve: 'P-256',
        publicKeyEncoding: { type: 'spki', format: 'der' },
        privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      })
      const Arn = `arn:aws:kms:${region}:111122223333:key/${keys.size}`
      keys.set(Arn, { privateKey: createPrivateKey(privateKey), spki: publicKey })
      return { KeyMetadata: { Arn } }
    }
    const key = keys.get(input['KeyId']!)
    if (!key) return undefined
    if (operation === 'GetPublicKey') return { PublicKey: key.spki.toString('base64') }
    if (operation === 'ScheduleKeyDeletion') return keys.delete(input['KeyId']!) && {}
    const digest = Buffer.from(input['Message']!, 'base64')
    if (input['MessageType'] !== 'DIGEST' || input['SigningAlgorithm'] !== 'ECDSA_SHA_256') return undefined
    const { d } = key.privateKey.export({ format: 'jwk' })
    const signature = p256.sign(digest, Buffer.from(d!, 'base64url'), { prehash: false, format: 'der' })
    return { Signature: Buffer.from(signature).toString('base64') }
  }
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += String(chunk)
    const operation = String(request.headers['x-amz-target']).replace('TrentService.', '')
    operations.push(operation)
    const refuse = (status: number, type: string): void =>
      void response.writeHead(status).end(JSON.stringify({ __type: `com.amazonaws.kms#${type}`, message: 'because' }))
    if (!isSigned(request, body)) return refuse(400, 'InvalidSignatureException')
    if (refusal) return refuse(refusal.status, refusal.type)
    const said = answer(operation, JSON.parse(body) as Record<string, string>)
    if (said === undefined) return refuse(400, 'NotFoundException')
    return void response.end(JSON.stringify(said))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  onTestFinished(() => void server.close())
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    ...{ keys, operations, endpoint },
    refuse(type: string, status = 400) {
      refusal = { type, status }
    },
    rootKeys: (secretAccessKey = credentials.secretAccessKey) =>
      awsKmsRootKeys({
        ...{ region, endpoint },
        sign: signerOf({ region, credentials: { ...credentials, secretAccessKey } }, 'kms'),
      }),
  }
}

test('a root whose key AWS KMS holds signs issuers, also after a restart, and its key goes with its withdrawal', async () => {
  const cloud = await kms()
  let nowMs = noonMs
  const dir = join(tempFolder(), 'ca')
  const open = () =>
    newAuthority(bank, () => nowMs, {
      ...{ dir, maxLeafMs: 60_000, keys: cloud.rootKeys(), times: { publishMs: 0, skewMs: 0 } },
    })
  const first = await open()
  const svid = newSvid(first)
  expect(verifySvid(svid.chain, first.bundle(), nowMs, verifySignature).ok).toBe(true)
  const { rootKey } = JSON.parse(readFileSync(join(dir, 'authority.json'), 'utf8')).authorities[0]
  expect(rootKey).toMatch(/^awskms:arn:aws:kms:eu-central-1:111122223333:key\/0$/)

  nowMs += 305 * 86_400_000
  const again = await open() // Its issuer is worn, so KMS has to sign.
  expect(newSvid(again).chain[1]).not.toEqual(svid.chain[1])
  expect(verifySvid(newSvid(again).chain, first.bundle(), nowMs, verifySignature).ok).toBe(true)

  await again.prepare()
  await again.activate()
  nowMs += 60_000
  expect(await again.maintain({ waiting: [], heardSinceMs: 0 })).toMatchObject([{ action: 'withdrawn' }])
  expect(cloud.operations.at(-1)).toBe('ScheduleKeyDeletion')
  await expect(cloud.rootKeys().open(rootKey)).rejects.toMatchObject({ code: 'not_found' })
  await cloud.rootKeys().destroy(rootKey)
  expect(cloud.keys.size).toBe(1)
})

test('what KMS refuses is told with its cause and a cure', async () => {
  const cloud = await kms()
  await expect(cloud.rootKeys('another').create()).rejects.toMatchObject({
    code: 'unauthorized',
    cure: expect.stringContaining('AWS_ACCESS_KEY_ID'),
  })
  for (const [type, code, cure] of [
    ['AccessDeniedException', 'forbidden', 'kms:CreateKey'],
    ['DisabledException', 'unavailable', 'enable the key'],
    ['LimitExceededException', 'unavailable', 'quota'],
    ['KMSInternalException', 'unavailable', 'AWS'],
  ] as const) {
    cloud.refuse(type)
    const wanted = { code, cure: expect.stringContaining(cure), message: expect.stringContaining(`${type}: because`) }
    await expect(cloud.rootKeys().create()).rejects.toMatchObject(wanted)
  }
  await expect(cloud.rootKeys().open('pkcs11:token=x')).rejects.toThrow('names no key of AWS KMS')
  const sign = async () => ({})
  expect(() => awsKmsRootKeys({ region, endpoint: 'http://kms.example', sign })).toThrow('is no endpoint')
  const away = awsKmsRootKeys({ region, endpoint: 'http://127.0.0.1:1', sign })
  await expect(away.create()).rejects.toMatchObject({ code: 'unavailable' })
})
