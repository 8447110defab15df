/** The command `writ` as users have it: the bundle that the set-up made of these sources, or the sources where it made none. */

import { join } from 'node:path'

/** The variable by which the set-up names its bundle. */
export const commandVariable = 'WRIT_TEST_COMMAND'

/** What Node starts. */
export const commandFile: string = process.env[commandVariable] ?? join(import.meta.dirname, '../../cli/main.ts')
