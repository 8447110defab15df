/** Asks the process that runs on a state folder: it holds its store alone. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { adminRequest } from '../control/node/client.ts'
import { WritError } from '../core/fault.ts'
import type { Json } from '../core/json.ts'

/** The answer to a GET, or undefined where no process runs there. */
export async function askRunning(state: string, path: string): Promise<Json | undefined> {
  const socket = join(state, 'admin.sock')
  if (!existsSync(socket)) return undefined
  try {
    return await adminRequest(socket, 'GET', path)
  } catch (thrown) {
    if (isNobody(thrown)) return undefined
    throw thrown
  }
}

/** The socket of a process that was killed stays behind. */
const isNobody = (thrown: unknown): boolean =>
  thrown instanceof WritError && thrown.code === 'unavailable' && thrown.message.startsWith('no control process')
