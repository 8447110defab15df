/** `writ audit verify`: whether anybody changed the log. */

import { Command } from 'commander'
import { formatVerification } from '../audit/verify/format.ts'
import { number } from './options.ts'
import type { PlaceOptions } from './place.ts'
import { countShown } from './wire/progress.ts'

export const verifyCommand = (): Command =>
  new Command('verify')
    .description('verify the log offline: tree, signatures, chains, gaps; exit 0 whole, 1 broken')
    .option('--log <place>', 'folder, http(s) URL or s3://bucket/prefix of the log (default: log in the state folder)')
    .option('--key <key>', 'verifier key, or a file that holds it (default: signer/log.pub in the state folder)')
    .option('--former-key <key...>', 'the same of logs that were followed by one with another key: `new-log`')
    .option('--policy <file>', 'witnesses that must have cosigned (C2SP tlog-policy); also names the key of the log')
    .option('--witness <key...>', 'instead: keys, or files that hold them, of witnesses that all must have cosigned')
    .option('--checkpoint <file...>', 'checkpoints that the log must extend: from a witness, or that you kept')
    .option('--database [url]', 'compare every row with its leaf: of this PostgreSQL, or of the embedded store')
    .option(
      '--archive <place>',
      'hash every leaf of this archive again, and hold it against the log; a place as with --log',
    )
    .option('--s3-endpoint <url>', 'endpoint of s3:// places (default: AWS_ENDPOINT_URL_S3, then AWS)')
    .option('--s3-region <region>', 'their region (default: AWS_REGION, then us-east-1)')
    .option('--threads <n>', 'threads that read a folder, one a core and at most 8 (1: none but the first)', number)
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--json', 'print JSON')
    .action(async (options: PlaceOptions & { readonly json?: boolean; readonly threads?: number }) => {
      const [{ openPlace }, { verifyPlace }] = await Promise.all([
        import('./place.ts'),
        import('../audit/node/examine.ts'),
      ])
      const { place, store } = await openPlace(options)
      const { threads } = options
      const shown = countShown('leaves')
      try {
        const threaded = { ...place, ...(threads !== undefined && { threads }), onProgress: shown.say }
        const { verification, compared, archived } = await verifyPlace(threaded).finally(() => shown.end())
        const text = options.json
          ? `${JSON.stringify({ ...verification, ...(compared && { compared }), ...(archived && { archived }) }, null, 2)}\n`
          : formatVerification(verification, compared, archived)
        process.stdout.write(text)
        if (!verification.ok) process.exitCode = 1
      } finally {
        await store?.close()
      }
    })
