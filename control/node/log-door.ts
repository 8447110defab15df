/**
 * The auditor's door, for peers of the mesh: the log as files (C2SP tlog-tiles), its public key, receipts, and what the
 * store has of personal fields, which control alone has the keys of.
 */

import type { Context } from 'hono'
import type { SealedFields } from '../../audit/node/disclose.ts'
import { keyShape } from '../../audit/store/disclosures.ts'
import { toBase64 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { FindReceipt, Identify, IdentitySource } from '../../core/ports.ts'
import { parseEpoch, type RecordId } from '../../core/record.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { problemResponse } from '../problem.ts'
import { type DoorApp, type DoorEnv, doorApp, type Unexpected } from './http.ts'
import { logFile, type StoredFile } from './log-files.ts'
import { openMtlsDoor } from './mtls.ts'
import type { Door, DoorOptions } from './open-door.ts'
import { peers } from './peer.ts'

export interface LogDoorParts {
  readonly identity: IdentitySource
  readonly identify: Identify
  /** Who may read: entries hold what every workload of the mesh did. */
  readonly mayRead: (id: SpiffeId) => boolean
  readonly verifierKey: string
  readonly findReceipt: FindReceipt
  readonly file: StoredFile
  /** Default: of nobody's fields anything is told. */
  readonly findSealed?: (id: Pick<RecordId, 'epoch' | 'seq'>) => Promise<SealedFields | undefined>
  /** Ids of records under one of those keys. Default: none. */
  readonly findUnder?: (keys: readonly string[], most: number) => Promise<readonly string[]>
  readonly nowMs: () => number
  readonly unexpected: Unexpected
}

/** Ids of one answer. */
const maxUnder = 1001

export function openLogDoor(parts: LogDoorParts, options: DoorOptions = {}): Promise<Door> {
  const refused = (): void => undefined // Only control and operators come here; a failed handshake harms nobody.
  const { identity, unexpected } = parts
  return openMtlsDoor({ app: logRoutes(parts), identity, refused, unexpected }, options)
}

export function logRoutes(parts: LogDoorParts): DoorApp {
  const app = doorApp(parts.unexpected)
  const peerOf = peers()

  app.use(async (c: Context<DoorEnv>, next) => {
    const identified = await parts.identify(peerOf(c.env.incoming.socket as never), parts.nowMs())
    if (!identified.ok) {
      return problemResponse({ code: identified.code, detail: identified.detail, headers: { connection: 'close' } })
    }
    const { id } = identified.identity
    if (!parts.mayRead(id)) throw new WritError('forbidden', `${id} may not read the log`)
    return next()
  })

  app.get('/log.pub', (c) => c.text(`${parts.verifierKey}\n`))

  app.get('/receipts/:epoch/:seq', async (c) => {
    const epoch = parseEpoch(c.req.param('epoch'))
    const seq = Number(c.req.param('seq'))
    const receipt = epoch && Number.isSafeInteger(seq) ? await parts.findReceipt({ epoch, seq }) : undefined
    if (!receipt) throw new WritError('not_found', 'no checkpoint covers this record yet')
    return c.json({ index: receipt.index, path: receipt.path.map(toBase64), note: receipt.note })
  })

  app.get('/sealed/:epoch/:seq', async (c) => {
    const epoch = parseEpoch(c.req.param('epoch'))
    const seq = Number(c.req.param('seq'))
    const sealed = epoch && Number.isSafeInteger(seq) ? await parts.findSealed?.({ epoch, seq }) : undefined
    if (!sealed) throw new WritError('not_found', 'the store has no such record')
    return c.json(sealed)
  })

  // Keys as a query: a subject has one for each day and sidecar.
  app.get('/keyed', async (c) => {
    const keys = (c.req.query('keys') ?? '').split(',').filter((key) => keyShape.test(key))
    const most = Math.min(Number(c.req.query('most')) || maxUnder, maxUnder)
    return c.json({ ids: (await parts.findUnder?.(keys, most)) ?? [] })
  })

  app.get('/log/*', (c) => logFile(c.req.path.slice('/log/'.length), parts.file, c.req.header('accept-encoding')))

  return app
}
