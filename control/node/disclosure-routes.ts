/** Personal data at the operator's door: shown to a named person, and erased. Both are recorded before they happen. */

import { Hono } from 'hono'
import { z } from 'zod'
import { openSealed, type SealedFields } from '../../audit/node/disclose.ts'
import type { Vault } from '../../audit/node/vault.ts'
import { WritError } from '../../core/fault.ts'
import type { RecordSink, Sha256 } from '../../core/ports.ts'
import { parseDecisionId, type RecordId } from '../../core/record.ts'
import { type DoorApp, type DoorEnv, readJson } from './http.ts'

export interface DisclosureParts {
  /** What the store has of a record's personal fields: of this process's, or the auditor's. Undefined: no such record. */
  readonly find: (id: Pick<RecordId, 'epoch' | 'seq'>) => Promise<SealedFields | undefined>
  /** Ids of records whose fields lie under one of those keys, so many at most: of this process's store, or the auditor's. */
  readonly findUnder: (keys: readonly string[], most: number) => Promise<readonly string[]>
  readonly vault: Vault
  readonly sink: () => RecordSink
  readonly sha256: Sha256
}

const maxBodyBytes = 16 * 1024
const keysPerRecord = 1000
const said = z.string().min(1).max(1024)
/** One record in the log names so many ids. */
const maxIds = 100
const discloseBody = z.strictObject({
  ids: z.array(z.string().max(64)).min(1).max(maxIds),
  by: said,
  purpose: said,
})
const subjectBody = z.strictObject({ subject: z.string().min(1).max(8192), by: said, purpose: said })
/** Records of one answer. */
const maxFound = 1000
const eraseBody = z.strictObject({ subject: z.string().min(1).max(8192), basis: said, by: said })

export function disclosureRoutes({ find, findUnder, vault, sink, sha256 }: DisclosureParts): DoorApp {
  const app: DoorApp = new Hono<DoorEnv>()

  app.post('/v1/audit/disclose', async (c) => {
    const { ids, by, purpose } = await readJson(c.req.raw, maxBodyBytes, discloseBody)
    const records: object[] = []
    for (const id of new Set(ids)) {
      const parsed = parseDecisionId(id)
      const sealed = parsed && (await find(parsed))
      if (!sealed) throw new WritError('not_found', `no record ${id} in this log`)
      const { fields, ...disclosed } = await openSealed(sealed, vault, sha256)
      records.push({ id, ...disclosed, fields: Object.entries(fields).map(([name, value]) => ({ name, value })) })
    }
    await sink().keep({ kind: 'admin', action: 'disclosed', actor: by, detail: `${ids.join(' ')}: ${purpose}` })
    return c.json({ records })
  })

  // The vault alone can tell which keys are whose, and the store which records lie under them.
  app.post('/v1/audit/subject', async (c) => {
    const { subject, by, purpose } = await readJson(c.req.raw, maxBodyBytes, subjectBody)
    const { blind, keys } = await vault.find(subject)
    const found = await findUnder(keys, maxFound + 1)
    await sink().keep({ kind: 'admin', action: 'subject_searched', actor: by, detail: `${blind}: ${purpose}` })
    return c.json({ records: found.slice(0, maxFound).map((id) => ({ id })), more: found.length > maxFound })
  })

  app.post('/v1/audit/erase', async (c) => {
    const { subject, basis, by } = await readJson(c.req.raw, maxBodyBytes, eraseBody)
    const { blind, keys } = await vault.find(subject)
    if (keys.length === 0) throw new WritError('not_found', 'the vault has no key of this subject')
    for (let from = 0; from < keys.length; from += keysPerRecord) {
      const some = keys.slice(from, from + keysPerRecord)
      await sink().keep({ kind: 'erased', subject: blind, keys: some, basis, approver: by })
    }
    await vault.destroy(blind)
    return c.json({ subject: blind, keys: keys.length })
  })

  return app
}
