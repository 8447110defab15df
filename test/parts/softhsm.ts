/** SoftHSM: a hardware module in software, with one token of its own. Debian's softhsm2. */

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const libraries = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so']

export interface SoftHsm {
  readonly module: string
  readonly token: string
  readonly pin: string
  /** SOFTHSM2_CONF, which this process has from now on as well. */
  readonly env: { readonly SOFTHSM2_CONF: string }
  /** What `softhsm2-util --show-slots` says. */
  slots(): string
}

/** In a folder that the caller removes. */
export function makeSoftHsm(dir: string): SoftHsm {
  const module = libraries.find(existsSync)
  if (!module) throw new Error('softhsm2 is not installed: apt-get install softhsm2')
  const tokens = join(dir, 'tokens')
  mkdirSync(tokens, { recursive: true })
  const conf = join(dir, 'softhsm2.conf')
  writeFileSync(conf, `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`)
  const env = { SOFTHSM2_CONF: conf }
  process.env['SOFTHSM2_CONF'] = conf
  const util = (...args: readonly string[]): string =>
    execFileSync('softhsm2-util', args, { env: { ...process.env, ...env }, encoding: 'utf8' })
  util('--init-token', '--free', '--label', 'writ test', '--pin', '4711', '--so-pin', '0815')
  return { module, token: 'writ test', pin: '4711', env, slots: () => util('--show-slots') }
}
