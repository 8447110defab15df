/** The page as PDF, printed by the Chromium or Chrome that a machine has. */

import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { messageOf, WritError } from '../core/fault.ts'

const names: readonly string[] = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome']

/** Throws `not_found` where there is no such program, and `internal` where it does not print. */
export async function printPdf(page: string, target: string): Promise<void> {
  const program = process.env['WRIT_CHROMIUM'] ?? (await onPath())
  if (program === undefined) {
    throw new WritError('not_found', 'there is no Chromium and no Chrome to print the PDF with', {
      cure: 'install one, or name it in WRIT_CHROMIUM; report.html prints from any browser too',
    })
  }
  const profile = await mkdtemp(join(tmpdir(), 'writ-print-'))
  try {
    const asRoot = process.getuid?.() === 0 ? ['--no-sandbox', '--disable-dev-shm-usage'] : []
    const args = ['--headless', '--disable-gpu', '--no-pdf-header-footer', `--user-data-dir=${profile}`, ...asRoot]
    const print = [`--print-to-pdf=${resolve(target)}`, pathToFileURL(resolve(page)).href]
    await promisify(execFile)(program, [...args, ...print], { timeout: 120_000 })
  } catch (cause) {
    throw new WritError('internal', `${program} printed no PDF: ${messageOf(cause).slice(0, 500)}`, { cause })
  } finally {
    await rm(profile, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function onPath(): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    for (const name of names) {
      const path = join(folder, name)
      const is = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
      if (is) return path
    }
  }
  return undefined
}
