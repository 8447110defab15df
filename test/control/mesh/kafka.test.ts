import { expect, test } from 'vitest'
import { checkSnapshot } from '../../../control/mesh/name.ts'
import { compiled, sha256 } from '../world.ts'

const mesh = (kafka: string) =>
  compiled(
    `apiVersion: writ.dev/v1\nkind: Mesh\nmetadata: {name: m}\nspec: {trustDomain: a.b, audit: {stream: {kafka: {brokers: ["k:9092"], ${kafka}}}}}`,
  )
const sasl = (more: string, mechanism = 'SCRAM-SHA-512') => `sasl: {mechanism: ${mechanism}, ${more}}`
const named = 'username: proxy, passwordEnv: WRIT_KAFKA_PASSWORD'

test('a mesh file says how to prove oneself to Kafka, and a snapshot read back says the same', () => {
  const files = 'tls: {caFile: /etc/ca.pem, certFile: /etc/c.pem, keyFile: /etc/k.pem}'
  const good = mesh(`${files}, ${sasl(named)}`)
  if (!good.ok) throw new Error(JSON.stringify(good.problems))
  expect(good.snapshot.stream).toEqual({
    kind: 'kafka',
    brokers: ['k:9092'],
    topic: 'writ.records.v1',
    tls: { caFile: '/etc/ca.pem', certFile: '/etc/c.pem', keyFile: '/etc/k.pem' },
    sasl: { mechanism: 'SCRAM-SHA-512', username: 'proxy', passwordEnv: 'WRIT_KAFKA_PASSWORD' },
  })
  expect(checkSnapshot(JSON.parse(JSON.stringify(good.snapshot)), sha256)).toEqual(good.snapshot)
  const bare = mesh('')
  expect(bare.ok && Object.keys(bare.snapshot.stream)).toEqual(['kind', 'brokers', 'topic'])
})

test.each([
  ['a password in the file itself', sasl('username: proxy, password: secret')],
  ['PLAIN without TLS', sasl(named, 'PLAIN')],
  ['a mechanism that is none', sasl(named, 'GSSAPI')],
  ['no password', sasl('username: proxy')],
  ['two passwords', sasl(`${named}, passwordFile: /p`)],
  ['no name', sasl('passwordEnv: WRIT_KAFKA_PASSWORD')],
  ['two names', sasl(`${named}, usernameEnv: WRIT_KAFKA_USER`)],
  ['a variable that is not of ours', sasl('username: proxy, passwordEnv: AWS_SECRET_ACCESS_KEY')],
  ['a password in a relative file', sasl('username: proxy, passwordFile: password.txt')],
  ['TLS turned off', 'tls: false'],
  ['a certificate without its key', 'tls: {certFile: /etc/c.pem}'],
])('%s is an error', (_, kafka) => {
  expect(mesh(kafka)).toMatchObject({ ok: false })
})

test.each([
  ['PLAIN within TLS', `tls: true, ${sasl(named, 'PLAIN')}`],
  ['SCRAM without TLS', sasl(named)],
  ['a name and a password that each machine has of its own', sasl('usernameEnv: WRIT_U, passwordFile: /p')],
  ['a certificate with its key', 'tls: {certFile: /etc/c.pem, keyFile: /etc/k.pem}'],
])('%s is none', (_, kafka) => {
  expect(mesh(kafka)).toMatchObject({ ok: true })
})

test('a snapshot that asks a proxy for another variable is refused by the proxy', () => {
  const good = mesh(sasl(named))
  const text = JSON.stringify(good.ok && good.snapshot).replace('WRIT_KAFKA_PASSWORD', 'AWS_SECRET_ACCESS_KEY')
  expect(() => checkSnapshot(JSON.parse(text), sha256)).toThrow()
})

test('findings have a topic of their own on the brokers of the stream, and none without brokers', () => {
  const told = (audit: string) =>
    compiled(`apiVersion: writ.dev/v1\nkind: Mesh\nmetadata: {name: m}\nspec: {trustDomain: a.b, audit: {${audit}}}`)
  const stream = `stream: {kafka: {brokers: ["k:9092"], topic: records, ${sasl(named)}}}`
  const good = told(`${stream}, findings: {topic: findings}`)
  if (!good.ok) throw new Error(JSON.stringify(good.problems))
  expect(good.settings.findings.topic).toEqual({ ...good.snapshot.stream, topic: 'findings' })
  for (const wrong of [`${stream}, findings: {topic: records}`, 'findings: {topic: findings}']) {
    expect(told(wrong)).toMatchObject({ ok: false, problems: [{ field: 'spec.audit.findings.topic' }] })
  }
  expect(told(`${stream}, findings: {topic: "no topic"}`)).toMatchObject({ ok: false })
})
