/** `writ svid`: an SVID as files, for programs that speak mTLS or send tokens by themselves. */

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { fetchJwtSvid, joinMesh } from '../ca/node/client.ts'
import { pemOf } from '../ca/node/pem.ts'
import { trustJson } from '../ca/wire.ts'
import { WritError } from '../core/fault.ts'
import { parseTrustDomain } from '../core/spiffe.ts'
import { exportCommand } from './svid-export.ts'
import { readTokenFile } from './token-file.ts'
import { controlId } from './wire/names.ts'

interface Options {
  readonly control: string
  readonly trustDomain: string
  readonly tokenFile: string
  readonly out: string
  readonly jwt?: boolean
  readonly audience?: string
  readonly json?: boolean
}

/** What `writ svid` needs is not asked of `writ svid export`. */
export function svidCommand(sub = ''): Command {
  const svid = new Command('svid').addCommand(exportCommand())
  if (sub === 'export') return svid
  return svid
    .description(
      'redeem a join token for an SVID and write it: svid.pem, key.pem, bundle.pem, and trust.json for edge functions',
    )
    .requiredOption('--control <url>', "control's mesh door")
    .requiredOption('--trust-domain <name>', 'the trust domain that control must be of')
    .requiredOption('--token-file <file>', 'join token, - for standard input')
    .option('--out <dir>', 'where the files go; mode 0700', '.')
    .option('--jwt', 'also write a JWT-SVID, which holds for five minutes: svid.jwt')
    .option('--audience <id>', 'whom the JWT-SVID is shown to; nobody else takes it')
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
  const { control: url, jwt, audience } = options
  if ((jwt === true) !== (audience !== undefined)) {
    throw new WritError('usage', '--jwt and --audience go together', { cure: 'name whom the token is shown to' })
  }
  const expect = controlId(trustDomain)
  const token = await readTokenFile(options.tokenFile)
  const { svid, bundles } = await joinMesh({ url, expect, token })
  await mkdir(options.out, { recursive: true, mode: 0o700 })
  const write = (name: string, text: string): Promise<void> => writeFile(join(options.out, name), text, { mode: 0o600 })
  await write('key.pem', svid.keyPem)
  await write('svid.pem', svid.chain.map((der) => pemOf(der, 'CERTIFICATE')).join(''))
  const bundle = bundles.get(trustDomain)! // Without it there would be no certificate to trust.
  await write('bundle.pem', bundle.roots.map((der) => pemOf(der, 'CERTIFICATE')).join(''))
  await write('trust.json', `${JSON.stringify(trustJson(bundle))}\n`)
  if (audience !== undefined) {
    const state = { generation: 1, svid, bundles, denied: new Set<string>() }
    const minted = await fetchJwtSvid({ url, expect, state, audience })
    await write('svid.jwt', `${minted.token}\n`)
  }
  const until = new Date(svid.notAfterMs).toISOString()
  process.stdout.write(
    options.json ? `${JSON.stringify({ id: svid.id, serial: svid.serial, until })}\n` : `${svid.id} until ${until}\n`,
  )
}
