/** What step-ca and SPIRE take to issue a certificate: their own libraries, in one program in Go beside this file. */

import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { run } from '../../test/parts/child.ts'
import { findProgram } from '../../test/parts/find.ts'
import { buildGoSource } from '../../test/parts/go-source.ts'

export interface Issuers {
  /** Certificates per CPU-second of one batch of `count`, after one for warming up. */
  rate(issuer: 'step-ca' | 'spire', count: number): Promise<number>
  remove(): Promise<void>
}

/** Compiled once a run: that takes minutes where Go has not seen the modules yet. */
export async function buildIssuers(): Promise<Issuers> {
  const go = await findProgram('go', ['/usr/local/go/bin'])
  if (!go) throw new Error('no go on the PATH to build step-ca and SPIRE with')
  const program = await buildGoSource(go, join(import.meta.dirname, 'issuers'), 'issuers')
  return {
    async rate(issuer, count) {
      const text = await run(program, [issuer, '1', String(count)], { env: { ...process.env, GOMAXPROCS: '1' } })
      const rate = Number(text)
      if (rate > 0) return rate
      throw new Error(`${issuer} said ${text}`)
    },
    remove: () => rm(dirname(program), { recursive: true, force: true }),
  }
}
