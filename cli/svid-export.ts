/** `writ svid export`: an SVID's files as a keystore for Java and Windows. */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { pkcs7Of, pkcs12Of } from '../ca/node/keystore.ts'
import { certificatesOf } from '../ca/node/pem.ts'
import { WritError } from '../core/fault.ts'
import { readText } from './read-text.ts'
import { random } from './wire/machine.ts'

interface Options {
  readonly from: string
  readonly pkcs12?: string
  readonly pkcs7?: string
  readonly passwordFile?: string
  readonly alias: string
}

export const exportCommand = (): Command =>
  new Command('export')
    .description('write an SVID for Java and Windows: key and chain as PKCS#12, the trust bundle as PKCS#7')
    .option('--from <dir>', 'where svid.pem, key.pem and bundle.pem are, as `writ svid` writes them', '.')
    .option('--pkcs12 <file>', 'key and chain go there, mode 0600; needs --password-file')
    .option('--password-file <file>', 'the password of the keystore, 12 characters or more')
    .option('--alias <name>', 'what Java knows the key by', 'svid')
    .option('--pkcs7 <file>', 'the roots of the trust bundle go there (.p7b)')
    .action(run)

async function run({ from, pkcs12, pkcs7, passwordFile, alias }: Options): Promise<void> {
  if (pkcs12 === undefined && pkcs7 === undefined) {
    throw new WritError('usage', 'nothing to write', { cure: 'give --pkcs12 FILE, --pkcs7 FILE, or both' })
  }
  if (pkcs12 !== undefined) {
    if (passwordFile === undefined) {
      throw new WritError('usage', 'a keystore without a password', { cure: 'give --password-file' })
    }
    const password = (await readText(passwordFile)).trim()
    const chain = await certificatesIn(join(from, 'svid.pem'))
    const keyPem = await readText(join(from, 'key.pem'))
    await writeFile(pkcs12, pkcs12Of({ chain, keyPem, alias, password }, random), { mode: 0o600 })
  }
  if (pkcs7 !== undefined) await writeFile(pkcs7, pkcs7Of(await certificatesIn(join(from, 'bundle.pem'))))
}

async function certificatesIn(path: string): Promise<readonly Uint8Array[]> {
  const found = certificatesOf(await readText(path))
  if (found.length > 0) return found
  throw new WritError('not_found', `${path} holds no certificate`, { cure: 'give the folder of `writ svid` by --from' })
}
