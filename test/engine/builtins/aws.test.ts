import { expect, test } from 'vitest'
import { aws } from '../../../engine/builtins/aws.ts'
import { BuiltinError } from '../../../engine/builtins/builtin.ts'
import { http } from '../../../engine/builtins/http.ts'
import { fromJson, RegoObject, readNumber, toJson, type Value } from '../../../engine/value.ts'
import { contextAt, type Noted } from './context.ts'

/** The example of "Signature Calculations for the Authorization Header" in the documentation of Amazon S3. */
const config = fromJson({
  aws_access_key: 'AKIAIOSFODNN7EXAMPLE',
  aws_secret_access_key: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  aws_service: 's3',
  aws_region: 'us-east-1',
})
const may24 = readNumber('1369353600000000000')!

const sign = (request: Value, settings: Value = config, time: Value = may24): Value =>
  aws['providers.aws.sign_req']!(contextAt(), request, settings, time)!

const headersOf = (signed: Value) => (toJson(signed) as { headers: Record<string, string> }).headers

test('the example of Amazon S3 gets the signature that its documentation gives', () => {
  const request = {
    method: 'GET',
    url: 'https://examplebucket.s3.amazonaws.com/test.txt',
    headers: { Range: 'bytes=0-9' },
  }
  const { Authorization } = headersOf(sign(fromJson(request)))
  expect(Authorization).toBe(
    'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,' +
      'SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,' +
      'Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  )
})

test('the query of the same documentation is signed as it stands', () => {
  const request = { method: 'GET', url: 'https://examplebucket.s3.amazonaws.com/?lifecycle=' }
  expect(headersOf(sign(fromJson(request)))['Authorization']).toMatch(
    /Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543$/,
  )
})

test('what a proxy may change on the way is not signed, and stays in the request', () => {
  const request = { method: 'GET', url: 'https://example.com/', headers: { 'User-Agent': 'curl', 'X-Other': '1' } }
  const headers = headersOf(sign(fromJson(request)))
  expect(headers['User-Agent']).toBe('curl')
  expect(headers['Authorization']).toContain('SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-other,')
})

test('a body is signed as Go writes it, unless the settings say otherwise', () => {
  const request = fromJson({ method: 'PUT', url: 'https://example.com/', body: { a: '<&>' } })
  // printf '{"a":"\\u003c\\u0026\\u003e"}' | sha256sum
  const digest = '1fd2922c86d4c57a7a7d188c22deaa3d99d0c26ac8d58a3f487f6918d5ddaf9c'
  expect(headersOf(sign(request))['x-amz-content-sha256']).toBe(digest)
  const unsigned = fromJson({ ...(toJson(config) as object), disable_payload_signing: true })
  expect(headersOf(sign(request, unsigned))['x-amz-content-sha256']).toBe('UNSIGNED-PAYLOAD')
})

test('a request, settings and a time are needed whole', () => {
  const request = { method: 'GET', url: 'https://example.com/' }
  const settings = toJson(config) as Record<string, string>
  expect(() => sign(fromJson({ url: request.url }))).toThrow(BuiltinError)
  expect(() => sign(fromJson({ ...request, other: 1 }))).toThrow('invalid request parameters')
  expect(() => sign(fromJson(request), fromJson({ ...settings, aws_region: 1 }))).toThrow('aws_region')
  expect(() => sign(fromJson(request), config, readNumber('1e9')!)).toThrow('64 bit')
  expect(sign(fromJson(request), config, 1_000_000_000)).toBeInstanceOf(RegoObject)
})

const request = fromJson({ method: 'GET', url: 'https://example.com/' })

test('no request is sent for a policy where the host gives no way', () => {
  expect(() => http['http.send']!(contextAt(), request)).toThrow(BuiltinError)
})

test('where the host has answers, each request is answered once and noted', () => {
  const noted: Noted[] = []
  let asked = 0
  const context = contextAt(0, { httpSend: () => ++asked }, noted)
  expect([http['http.send']!(context, request), http['http.send']!(context, request)]).toEqual([1, 1])
  expect(noted).toEqual([{ name: 'http.send', args: [request], result: 1 }])
  expect(() => http['http.send']!(context, fromJson({ method: 'GET', url: 'x', bad: 1 }))).toThrow('invalid request')
})
