/** `writ ca backup` and `writ ca restore`: the authority's keys as a file for named people, and back. */

import { join } from 'node:path'
import { Command } from 'commander'
import { backupAuthority, restoreAuthority } from '../ca/node/authority-backup.ts'
import { authorityFile } from '../ca/node/authority-state.ts'
import { replaceText } from '../ca/node/files.ts'
import { keySeal } from '../ca/node/root-keys.ts'
import { openState } from '../control/node/state.ts'
import { WritError } from '../core/fault.ts'
import { repeated } from './options.ts'
import { readText } from './read-text.ts'

const passphrase = (): string | undefined => process.env['WRIT_CA_KEY']

export const backupCommand = (): Command =>
  new Command('backup')
    .description('write the authority, its keys with it, encrypted to people: at any time, also while it runs')
    .requiredOption('--to <recipient>', 'an age recipient who can open it, age1…; more than once', repeated, [])
    .requiredOption('--out <file>', 'where it goes; mode 0600')
    .option('--state <dir>', "the control process's state folder", '.writ')
    .option('--json', 'print JSON')
    .action(async (options: { to: string[]; out: string; state: string; json?: boolean }) => {
      if (options.to.length === 0) {
        throw new WritError('usage', 'nobody could open it', { cure: 'give --to age1…, once or more' })
      }
      const store = authorityFile(join(options.state, 'ca'))
      const { file, trustDomain, authorities } = await backupAuthority(store, keySeal(passphrase()), options.to)
      replaceText(options.out, file)
      const count = authorities.list.length
      process.stdout.write(
        options.json
          ? `${JSON.stringify({ trust_domain: trustDomain, sequence: authorities.sequence, authorities: count, to: options.to })}\n`
          : `${trustDomain}, ${count} of its authorities, encrypted to ${options.to.join(', ')}: ${options.out}\n`,
      )
    })

export const restoreCommand = (): Command =>
  new Command('restore')
    .description('put a backup of the authority in its place; the control plane must be stopped')
    .requiredOption('--from <file>', 'what `writ ca backup` wrote')
    .requiredOption('--identity <file>', 'an age identity of one whom it was encrypted to')
    .option('--replace', 'also where an authority is there')
    .option('--state <dir>', "the control process's state folder", '.writ')
    .option('--json', 'print JSON')
    .action(async (options: { from: string; identity: string; replace?: boolean; state: string; json?: boolean }) => {
      const identities = (await readText(options.identity))
        .split('\n')
        .filter((line) => line.startsWith('AGE-SECRET-KEY-'))
      const file = await readText(options.from)
      const state = openState(options.state)
      try {
        const store = authorityFile(state.ca)
        const replace = options.replace === true
        const { trustDomain, authorities } = await restoreAuthority(
          file,
          identities,
          store,
          keySeal(passphrase()),
          replace,
        )
        const { sequence, list } = authorities
        process.stdout.write(
          options.json
            ? `${JSON.stringify({ trust_domain: trustDomain, sequence, authorities: list.length })}\n`
            : `${trustDomain}, bundle ${sequence}, ${list.length} of its authorities\n`,
        )
      } finally {
        state.release()
      }
    })
