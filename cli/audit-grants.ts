/** `writ audit grants` prints the SQL of the store's roles. */

import { Command } from 'commander'
import { defaultRoles, grantsOf, type Roles } from '../audit/store/roles.ts'

export const grantsCommand = (): Command =>
  new Command('grants')
    .description('print SQL that makes roles by which who writes the ledger cannot change it; its owner runs it')
    .option('--writer <role>', 'the auditor: adds', defaultRoles.writer)
    .option('--reader <role>', 'who asks', defaultRoles.reader)
    .option('--maintenance <role>', 'removes leaves that the log folder has for good', defaultRoles.maintenance)
    .option('--schema <name>', 'where the tables are', 'public')
    .action(({ schema, ...roles }: Roles & { readonly schema: string }) => {
      process.stdout.write(`${grantsOf(roles, schema).join(';\n')};\n`)
    })
