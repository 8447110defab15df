/** Runs something again whenever a policy changes, until a signal ends it. */

import { watch } from 'node:fs'
import { basename } from 'node:path'
import { messageOf, WritError } from '../../core/fault.ts'
import { printFault } from '../fault.ts'
import { until } from '../signals.ts'

/** Editors write a file in several steps: it is run once it has been quiet for this time, in milliseconds. */
const quietMs = 100

const isSource = (name: string): boolean =>
  !basename(name).startsWith('.#') && /\.rego$|(^|\/)(data\.(json|yaml|yml)|\.manifest)$/.test(name)

/** Once at first. What it throws is told, and the next change is awaited: a rule that is half written is no end. */
export async function watchPolicies(dir: string, run: () => Promise<void>): Promise<void> {
  const stop = until('SIGINT', 'SIGTERM')
  let changed = false
  let wake = (): void => undefined
  const watcher = open(dir, (name) => {
    if (!isSource(name)) return
    changed = true
    wake()
  })
  stop.signal.addEventListener('abort', () => wake())
  try {
    while (!stop.aborted) {
      changed = false
      await run().catch(printFault)
      if (!changed && !stop.aborted) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      // Each change that comes meanwhile is a reason to wait on.
      for (changed = true; changed && !stop.aborted; ) {
        changed = false
        await stop.wait(quietMs)
      }
    }
  } finally {
    watcher.close()
    process.exitCode = 0
  }
}

function open(dir: string, heard: (name: string) => void) {
  try {
    process.stderr.write(`watching ${dir}; Ctrl-C ends it\n`)
    return watch(dir, { recursive: true }, (_, name) => heard(String(name)))
  } catch (cause) {
    throw new WritError('not_found', `${dir} cannot be watched: ${messageOf(cause)}`, { cure: 'give a folder', cause })
  }
}
