import { expect, test } from 'vitest'
import { authorityOptions } from '../../../cli/wire/authority.ts'
import { compiled, own, problemsOf } from '../world.ts'

/** Where keys of roots are and who signs issuers, as the Mesh document says it. */

const mesh = (identity: string): string =>
  own('Mesh', 'mine', `{ trustDomain: shop.example, identity: { ${identity} } }`)
const settingsOf = (identity: string) => {
  const result = compiled(mesh(identity))
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.settings
}
const told = (identity: string): readonly string[] =>
  problemsOf(mesh(identity)).map(({ field, problem }) => `${field} ${problem}`)

const ring = 'projects/bank/locations/eu/keyRings/mesh'

test('roots are sealed beside the state by default; a module, a KMS or an authority above takes their place', async () => {
  expect(authorityOptions(settingsOf('ttl: 1h'))).not.toHaveProperty('keys')
  const kms = authorityOptions(settingsOf('keys: { awsKms: { region: eu-1, endpoint: "http://127.0.0.1:1" } }'))
  const { AWS_ACCESS_KEY_ID } = process.env
  delete process.env['AWS_ACCESS_KEY_ID']
  await expect(kms.keys!.create()).rejects.toMatchObject({
    code: 'config_invalid',
    cure: expect.stringContaining('AWS_'),
  })
  if (AWS_ACCESS_KEY_ID !== undefined) process.env['AWS_ACCESS_KEY_ID'] = AWS_ACCESS_KEY_ID
  const gcp = settingsOf(`keys: { gcpKms: { keyRing: ${ring}, hsm: false } }`)
  expect(() => authorityOptions(gcp).keys).not.toThrow()
  await expect(
    authorityOptions(settingsOf('keys: { azureKeyVault: { vault: "https://bank.vault.azure.net" } }')).keys!.open('x'),
  ).rejects.toThrow('names no key of Azure Key Vault at bank.vault.azure.net')
  const vault = 'upstream: { vault: { address: "https://vault.example:8200", mount: mesh/pki, tokenFile: /run/token } }'
  expect(authorityOptions(settingsOf(vault)).upstream).toMatchObject({
    ref: 'upstream:vault https://vault.example:8200 mesh/pki',
  })
})

test('two places for keys, none, and a mount that leads elsewhere are refused', () => {
  const pkcs11 = 'pkcs11: { module: /m.so, token: t, pinEnv: P }'
  const [both] = told(`keys: { ${pkcs11}, awsKms: { region: eu-1 } }`)
  expect(both).toContain('keys are in one place')
  expect(told('keys: {}')).toHaveLength(1)
  expect(told(`keys: { gcpKms: { keyRing: ${ring} }, azureKeyVault: { vault: "https://v" } }`)).toHaveLength(1)
  expect(told('keys: { gcpKms: { keyRing: projects/x } }')).toHaveLength(1)
  expect(told('upstream: { vault: { address: "https://v", mount: "../sys", tokenFile: /t } }')).toHaveLength(1)
})
