/** Checks with their rules: the package's own bundle, and the Rego of a user's folder, compiled when it is asked. */

import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { complianceFolder } from '../../audit/report/node/catalogue.ts'
import type { ComplianceReport, JudgeCheck } from '../../core/compliance.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { Json } from '../../core/json.ts'
import { bundleFile, loadBundle } from '../../engine/node/open.ts'
import type { Policy } from '../../engine/policy.ts'

export interface CheckRules {
  readonly judge: JudgeCheck
  readonly rules: ComplianceReport['rules']
}

/** Evidence names up to a thousand subjects of each tally. */
const maxInputBytes = 16 * 1024 ** 2

/** Throws `policy_invalid`, and `compiler_missing` where a user's rules need one and there is none. */
export async function openCheckRules(folder?: string): Promise<CheckRules> {
  const own = await complianceFolder('checks')
  const policies = [await open(new Uint8Array(await readFile(join(own, bundleFile))), 'checks')]
  if (folder !== undefined && (await readdir(folder)).some((name) => name.endsWith('.rego'))) {
    policies.unshift(await open(await built(folder, own), 'own-checks'))
  }
  return {
    judge: (rule, evidence) => {
      const policy = policies.find(({ entrypoints }) => entrypoints.includes(rule))
      if (!policy) return { ok: false, detail: `there is no rule ${rule}` }
      const answer = policy.evaluate(rule, evidence as unknown as Json, 0n)
      return answer.ok ? answer : { ok: false, detail: answer.detail }
    },
    rules: policies.map(({ ref: { bundle, revision, sha256 } }) => ({ bundle, revision, sha256 })),
  }
}

const open = (bytes: Uint8Array, name: string): Promise<Policy> =>
  loadBundle(bytes, name, { now: () => 0n, maxInputBytes, maxWork: 100_000_000 })

/** With the library of our own rules beside them, so that they may import it. */
async function built(folder: string, own: string): Promise<Uint8Array> {
  const { buildPolicy } = await import('../../engine/node/build.ts')
  const temporary = await mkdtemp(join(tmpdir(), 'writ-checks-'))
  try {
    await cp(folder, temporary, { recursive: true })
    const names = await readdir(temporary)
    if (!names.includes('lib.rego')) await cp(join(own, 'lib.rego'), join(temporary, 'lib.rego'))
    return await buildPolicy(temporary)
  } catch (thrown) {
    if (!(thrown instanceof WritError)) throw thrown
    const { cure, code } = thrown
    throw new WritError(code, messageOf(thrown).replaceAll(temporary, folder), { cause: thrown, ...(cure && { cure }) })
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}
