import { lookup } from 'node:dns'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { maxKeySetBytes } from '../../ca/token/key-set.ts'
import { fetchKeysOver, keyFilesOf } from '../../cli/wire/tokens.ts'
import { openHttpTransport, type Resolve } from '../../engine/node/http-transport.ts'
import { temporary } from './recorded.ts'

test('a file with keys stands beside the mesh file, and no more of it is read than a set may have', async () => {
  const dir = await temporary()
  await writeFile(join(dir, 'keys.json'), '{"keys":[]}')
  await writeFile(join(dir, 'long.json'), 'x'.repeat(maxKeySetBytes + 100))
  const read = keyFilesOf(join(dir, 'mesh.yaml'))
  expect(Buffer.from(read('keys.json')).toString()).toBe('{"keys":[]}')
  expect(read('long.json')).toHaveLength(maxKeySetBytes + 1)
  expect(() => read('missing.json')).toThrow('ENOENT')
})

const at =
  (address: string): Resolve =>
  (_, options, answer) =>
    lookup(address, { all: true, ...(options.family === undefined ? {} : { family: options.family }) }, answer)

test('keys are not asked of a private network or of this machine by a name that leads there, unless it is allowed', async () => {
  const ask = (address: string, privateAddresses: boolean): Promise<string> =>
    fetchKeysOver(openHttpTransport(at(address)))('https://id.example:1/jwks', {
      ...{ maxBytes: 100, timeoutMs: 200, privateAddresses },
    }).then(String, String)
  expect(await ask('10.255.255.1', false)).toContain('of a private network')
  expect(await ask('127.0.0.1', true)).toContain('of this machine')
  expect(await ask('169.254.169.254', true)).toContain('of this machine')
})
