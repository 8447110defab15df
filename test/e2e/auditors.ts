/** What an operator and an outside auditor do at the doors of a `writ auditor`, where every part is a process of its own. */

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, vi } from 'vitest'
import { run } from '../parts/child.ts'
import type { Mesh } from './mesh.ts'

/** A line of `spec.audit`: a report that is not due for a while. */
export const scheduled =
  'compliance: { reports: [{ name: yearly, framework: pci-dss, period: year, to: reports, formats: [html] }] }'

interface Answer {
  readonly status: string
  readonly text: string
}

export async function workWithAuditors(mesh: Mesh): Promise<void> {
  const state = ['--state', join(mesh.folder, 'auditor')]
  const report = async (...words: readonly string[]): Promise<string> => {
    const { code, text } = await mesh.writ('report', ...words, ...state)
    expect(`${code} ${text}`).toMatch(/^0 /)
    return text
  }
  const ask = async (path: string, token?: string): Promise<Answer> => {
    const [, door] = [...mesh.auditor.logs().matchAll(/^auditors {3}(\S+)$/gm)].at(-1)!
    const headers = token === undefined ? [] : ['-H', `authorization: Bearer ${token}`]
    const said = await run('curl', ['-sk', '-w', '\n%{http_code}', ...headers, `${door}${path}`])
    const cut = said.lastIndexOf('\n')
    return { status: said.slice(cut + 1), text: said.slice(0, cut) }
  }

  expect((await stat(join(mesh.folder, 'auditor/admin.sock'))).mode & 0o777).toBe(0o600)
  expect(await report('schedule')).toMatch(/^yearly +pci-dss/m)
  const times = ['--from', '1d', '--to', new Date(Date.now() + 86_400_000).toISOString()]
  const [token] = /wa_\S+/.exec(await report('grant', 'Ada of Acme', ...times))!
  expect(await report('grants')).toContain('Ada of Acme')

  expect((await ask('/v1/grant')).status).toBe('401')
  expect(JSON.parse((await ask('/v1/grant', token)).text)).toMatchObject({ name: 'Ada of Acme' })
  const sample = await ask('/v1/sample?seed=0123456789abcdef&check=M02', token)
  const [check] = (JSON.parse(sample.text) as { checks: { id: string; sample: { id: string }[] }[] }).checks
  expect(check).toMatchObject({ id: 'M02', verdict: 'pass' })
  const { id } = check!.sample[0]!
  expect(JSON.parse((await ask(`/v1/record/${id}`, token)).text)).toMatchObject({ decision_id: id })
  expect((await ask(`/v1/record/${id}/proof`, token)).text).toMatch(/^c2sp\.org\/tlog-proof@v1\n/)

  await mesh.auditor.stop()
  mesh.auditor.start()
  await mesh.auditor.ready()
  const wait = { timeout: 60_000, interval: 250 }
  // While no partition is its own, it can record nothing, and so hands nothing out.
  await vi.waitFor(async () => expect((await ask('/v1/grant', token)).status).toBe('200'), wait)
  await report('attest', '7.2.4', 'all grants were looked at', '--about', 'access-review', '--by', 'Ada')
  const out = join(mesh.folder, 'report')
  expect(await report('pci-dss', '--out', out)).toMatch(/^in the log as \S+$/m)
  await report('revoke', 'Ada of Acme')
  expect((await ask('/v1/grant', token)).status).toBe('401')
  await vi.waitFor(async () => {
    const { text } = await mesh.writ('report', 'verify', out, ...state)
    expect(text).toMatch(/^its hash is in the log as \S+, leaf \d+: by /m)
  }, wait)

  // What was asked and given is in the log, in the auditor's own words, which it may write.
  const whole = await mesh.writ('audit', 'verify', '--log', mesh.logDir, '--key', mesh.logKey, '--json')
  const { findings, kinds } = JSON.parse(whole.text) as { findings: { code: string }[]; kinds: Record<string, number> }
  expect(findings.filter(({ code }) => code === 'forbidden_kind')).toEqual([])
  expect(kinds).toMatchObject({ report: 1, attestation: 1 })
  expect(kinds['audit_read']).toBeGreaterThanOrEqual(6)
}
