/** What people say and made that no proxy can record: reports, reviews of access, evidence from elsewhere. Each is an entry. */

import { Hono } from 'hono'
import { z } from 'zod'
import { declarable, readDeclared } from '../../audit/report/files/declared.ts'
import { WritError } from '../../core/fault.ts'
import type { RecordSink } from '../../core/ports.ts'
import { decisionId } from '../../core/record.ts'
import { type DoorApp, type DoorEnv, readJson } from './http.ts'

export interface ComplianceParts {
  readonly sink: () => Pick<RecordSink, 'keep'>
  /** Who acts, as records name them. */
  readonly actor: string
}

const maxBodyBytes = 48 * 1024
const said = z.string().min(1).max(1024)
const hex = z.string().regex(/^[0-9a-f]{64}$/, '64 lower-case hex digits')

const reportBody = z.strictObject({
  ...{ framework: said, mapping: said, scope: said, from: said, to: said, sha256: hex, signer: said, summary: said },
  checkpoints: z.array(z.strictObject({ origin: said, size: z.int().min(0), root: hex })).max(100),
  verdicts: z.record(z.string().max(64), z.string().max(32)),
  by: said,
})
const attestationBody = z.strictObject({
  ...{
    about: z.enum(['access_review', 'evidence', 'declaration']),
    subject: said,
    statement: z.string().min(1).max(8192),
    by: said,
  },
  documents: z.array(z.strictObject({ name: said, sha256: hex })).max(100),
  declared: z.record(z.string(), z.json()).exactOptional(),
})

export function complianceRoutes({ sink, actor }: ComplianceParts): DoorApp {
  const app: DoorApp = new Hono<DoorEnv>()

  app.post('/v1/reports', async (c) => {
    const body = await readJson(c.req.raw, maxBodyBytes, reportBody)
    return c.json({ id: decisionId(await sink().keep({ kind: 'report', ...body, actor })) })
  })

  app.post('/v1/attestations', async (c) => {
    const { declared, ...body } = await readJson(c.req.raw, maxBodyBytes, attestationBody)
    if ((body.about === 'declaration') !== (declared !== undefined)) {
      throw new WritError('usage', 'a declaration, and nothing else, says what is declared')
    }
    if (declared) requireDeclarable(declared)
    return c.json({
      id: decisionId(await sink().keep({ kind: 'attestation', ...body, ...(declared && { declared }), actor })),
    })
  })

  return app
}

function requireDeclarable(declared: object): void {
  readDeclared(declared, 'declared')
  const strange = Object.keys(declared).find((name) => !declarable.includes(name))
  if (strange !== undefined || Object.keys(declared).length === 0) {
    throw new WritError('usage', strange ? `${strange} stands in the declared file alone` : 'nothing is declared', {
      cure: `an entry declares ${declarable.join(', ')}`,
    })
  }
}
