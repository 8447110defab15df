/** Runs a checker over the whole house and gives what it found. */

import { execFile } from 'node:child_process'
import { join } from 'node:path'

/** What the checker printed, or the empty text where it found nothing. `tool` is a command of node_modules. */
export function findings(tool: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(join('node_modules', '.bin', tool), args, { maxBuffer: 64 * 1024 ** 2 }, (error, stdout, stderr) => {
      resolve(error ? `${stdout}${stderr}` || error.message : '')
    })
  })
}
