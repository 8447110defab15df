/** `writ svid`: an SVID as PEM files, for programs that speak mTLS by themselves. */

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { joinMesh } from '../ca/node/client.ts'
import { pemOf } from '../ca/node/pem.ts'
import { WritError } from '../core/fault.ts'
import { parseTrustDomain } from '../core/spiffe.ts'
import { readTokenFile } from './token-file.ts'
import { controlId } from './wire/control-plane.ts'

interface Options {
  readonly control: string
  readonly trustDomain: string
  readonly tokenFile: string
  readonly out: string
  readonly json?: boolean
}

export function svidCommand(): Command {
  return new Command('svid')
    .description('redeem a join token for an SVID and write it as PEM: svid.pem, key.pem, bundle.pem')
    .requiredOption('--control <url>', "control's mesh door")
    .requiredOption('--trust-domain <name>', 'the trust domain that control must be of')
    .requiredOption('--token-file <file>', 'join token, - for standard input')
    .option('--out <dir>', 'where the files go; mode 0700', '.')
    .option('--json', 'print JSON')
    .action(run)
}

async function run(options: Options): Promise<void> {
  const trustDomain = parseTrustDomain(options.trustDomain)
  if (!trustDomain) {
    throw new WritError('usage', `${options.trustDomain} is no trust domain`, {
      cure: 'lower case, as in bank.example',
    })
  }
  const token = await readTokenFile(options.tokenFile)
  const { svid, bundles } = await joinMesh({ url: options.control, expect: controlId(trustDomain), token })
  await mkdir(options.out, { recursive: true, mode: 0o700 })
  const write = (name: string, text: string): Promise<void> => writeFile(join(options.out, name), text, { mode: 0o600 })
  await write('key.pem', svid.keyPem)
  await write('svid.pem', svid.chain.map((der) => pemOf(der, 'CERTIFICATE')).join(''))
  const roots = bundles.get(trustDomain)?.roots ?? []
  await write('bundle.pem', roots.map((der) => pemOf(der, 'CERTIFICATE')).join(''))
  const until = new Date(svid.notAfterMs).toISOString()
  process.stdout.write(
    options.json ? `${JSON.stringify({ id: svid.id, serial: svid.serial, until })}\n` : `${svid.id} until ${until}\n`,
  )
}
