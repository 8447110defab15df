/** A file that a flag names, or what is wrong with it. */

import { readFile } from 'node:fs/promises'
import { messageOf, WritError } from '../core/fault.ts'

export const readText = (path: string): Promise<string> =>
  readFile(path, 'utf8').catch((thrown: unknown) => {
    throw new WritError('not_found', `${path} cannot be read: ${messageOf(thrown)}`, { cure: 'give another file' })
  })
