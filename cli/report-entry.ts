/** That a report was made, told to the process that runs on the state folder: it keeps it as an entry of the log. */

import { existsSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { adminRequest } from '../control/node/client.ts'
import type { ComplianceReport } from '../core/compliance.ts'
import { WritError } from '../core/fault.ts'
import { isObject, type Json } from '../core/json.ts'
import { entryOf, type WrittenReport } from './wire/report.ts'

/** Id of the entry, or undefined where no process runs there. */
export const tellOfReport = (
  state: string,
  report: ComplianceReport,
  written: WrittenReport,
  by: string = userInfo().username,
): Promise<string | undefined> => tell(state, '/v1/reports', entryOf(report, written, by) as unknown as Json)

/** Id of the entry that a process kept; undefined where none runs on the state folder. */
export async function tell(state: string, path: string, body: Json): Promise<string | undefined> {
  const socket = join(state, 'admin.sock')
  if (!existsSync(socket)) return undefined
  try {
    const answer = await adminRequest(socket, 'POST', path, body)
    return isObject(answer) && typeof answer['id'] === 'string' ? answer['id'] : undefined
  } catch (thrown) {
    // The socket of a process that was killed stays behind.
    if (thrown instanceof WritError && thrown.message.startsWith('no control process')) return undefined
    throw thrown
  }
}
