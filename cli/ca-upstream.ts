/** `writ ca csr`, `sign` and `import`: an issuer that a root elsewhere signs, offline or of another Writ. */

import { writeFile } from 'node:fs/promises'
import { Command } from 'commander'
import { newKeyPair, privateKeyOf } from '../ca/node/crypto.ts'
import { pemOf } from '../ca/node/pem.ts'
import { keySeal } from '../ca/node/root-keys.ts'
import { writeIssuerCsr } from '../ca/node/write.ts'
import { messageOf, WritError } from '../core/fault.ts'
import { parseTrustDomain } from '../core/spiffe.ts'
import { type CaOptions, distrustOption, order, ordered, printAuthority } from './ca-order.ts'
import { readText } from './read-text.ts'

export const csrCommand = (): Command =>
  new Command('csr')
    .description('make a key for an issuer, and print the request for a root elsewhere to sign')
    .requiredOption('--trust-domain <name>', 'whose issuer it will be')
    .requiredOption('--key <file>', 'where the key goes: new, mode 0600, sealed by WRIT_CA_KEY where that is set')
    .action(async (options: { trustDomain: string; key: string }) => {
      const trustDomain = parseTrustDomain(options.trustDomain)
      if (!trustDomain) {
        throw new WritError('usage', `${options.trustDomain} is no trust domain`, { cure: 'lower case: bank.example' })
      }
      const { spki, keyPem } = newKeyPair()
      const sealed = keySeal(process.env['WRIT_CA_KEY']).seal(keyPem)
      await writeFile(options.key, sealed, { mode: 0o600, flag: 'wx' }).catch((thrown: unknown) => {
        throw new WritError('in_use', `${options.key} cannot be made: ${messageOf(thrown)}`, {
          cure: 'name a file that is not there yet',
        })
      })
      const csr = writeIssuerCsr(spki, privateKeyOf(keyPem), trustDomain, `issuer ${new Date().toISOString()}`)
      process.stdout.write(pemOf(csr, 'CERTIFICATE REQUEST'))
    })

export const signCommand = (): Command =>
  ordered(new Command('sign'))
    .description('sign the issuer of a Writ below, of the same trust domain, by the root here; prints its chain')
    .argument('<csr>', 'what `writ ca csr` printed there')
    .action(async (file: string, options: CaOptions) => {
      const { chain } = (await order('sign', options, { csr: await readText(file) })) as { chain: string }
      process.stdout.write(options.json ? `${JSON.stringify({ chain })}\n` : chain)
    })

export const importCommand = (): Command =>
  ordered(new Command('import'))
    .description(
      'take an issuer that a root elsewhere signed: at once under a known root, else its root comes in first',
    )
    .argument('<chain>', 'PEM: the issuer first, then what signed it, the root last')
    .requiredOption('--key <file>', "the issuer's key, as `writ ca csr` made it")
    .addOption(distrustOption())
    .action(async (file: string, options: CaOptions & { readonly key: string }) => {
      printAuthority(
        await order('import', options, { chain: await readText(file), key: await readText(options.key) }),
        options,
      )
    })
