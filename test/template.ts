/** A process of its own: writes the files that new PGlite stores of tests begin from to the path that it is given. */

import type { PGlite } from '@electric-sql/pglite'
import { openStore } from '../audit/node/store.ts'
import { writeTemplate } from '../audit/node/template.ts'

const store = await openStore({ kind: 'pglite' })
await writeTemplate(process.argv[2]!, (store.db as unknown as { readonly $client: PGlite }).$client)
await store.close()
