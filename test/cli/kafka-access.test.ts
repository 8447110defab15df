import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { kafkaAccess } from '../../cli/wire/kafka-access.ts'
import type { KafkaPlace } from '../../core/snapshot.ts'
import { temporary } from './writ.ts'

const mechanism = 'SCRAM-SHA-512'
const byFile = (passwordFile: string): Pick<KafkaPlace, 'sasl'> => ({
  sasl: { mechanism, username: 'proxy', passwordFile },
})
const refused = (...words: readonly string[]) => ({
  code: 'config_invalid',
  message: expect.stringMatching(new RegExp(words.join('.*'))),
  cure: expect.any(String),
})

test('without tls and sasl nothing is read', async () => {
  expect(await (await kafkaAccess({}))()).toEqual({})
})

test('name and password come from the environment of this machine', async () => {
  const sasl = { mechanism, usernameEnv: 'WRIT_U', passwordEnv: 'WRIT_P' } as const
  const read = await kafkaAccess({ tls: true, sasl }, { WRIT_U: 'proxy', WRIT_P: 'secret' })
  expect(await read()).toEqual({ tls: true, sasl: { mechanism, username: 'proxy', password: 'secret' } })
  await expect(kafkaAccess({ sasl }, { WRIT_U: 'proxy' })).rejects.toMatchObject(
    refused('sasl.passwordEnv', 'WRIT_P is not set'),
  )
  await expect(kafkaAccess({ sasl }, { WRIT_U: '', WRIT_P: 'x' })).rejects.toMatchObject(refused('WRIT_U is not set'))
})

test('a password file is one line, and read anew each time', async () => {
  const file = join(await temporary(), 'password')
  await writeFile(file, 'first\n')
  const read = await kafkaAccess(byFile(file))
  expect((await read()).sasl?.password).toBe('first')
  await writeFile(file, ' second ')
  expect((await read()).sasl?.password).toBe(' second ')
  for (const text of ['', '\n', 'one\ntwo\n', 'x'.repeat(1025)]) {
    await writeFile(file, text)
    await expect(read()).rejects.toMatchObject(refused('sasl.passwordFile', file))
  }
  await expect(kafkaAccess(byFile(`${file}-gone`))).rejects.toMatchObject(refused('passwordFile', 'ENOENT'))
})

test('a file of certificates is PEM of what it should be, and no secret is in any message', async () => {
  const folder = await temporary()
  const [ca, key] = [join(folder, 'ca.pem'), join(folder, 'key.pem')]
  await writeFile(ca, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
  await writeFile(key, '-----BEGIN EC PRIVATE KEY-----\nc2VjcmV0\n-----END EC PRIVATE KEY-----\n')
  const tls = { caFile: ca, certFile: ca, keyFile: key }
  const read = await kafkaAccess({ tls })
  expect(await read()).toMatchObject({ tls: { ca: expect.stringContaining('AAAA'), key: expect.any(String) } })
  const swapped = kafkaAccess({ tls: { caFile: key } })
  await expect(swapped).rejects.toMatchObject(refused('tls.caFile', 'no PEM block CERTIFICATE'))
  await expect(swapped).rejects.not.toThrow('c2VjcmV0')
})
