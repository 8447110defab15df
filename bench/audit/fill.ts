/**
 * A ledger of many decisions, weeks of them. A first piece is written by the auditor's own functions (writer.ts), copies
 * of it follow (copies.ts), and the last is written again. Sums are added by `tendStore`, as the auditor does.
 */

import { join } from 'node:path'
import { tilePath, tileWidth } from '../../audit/log/tiles.ts'
import { openLogFolder, tileReader } from '../../audit/node/folder.ts'
import type { Store } from '../../audit/node/store.ts'
import { tendStore } from '../../audit/node/tend.ts'
import { sql } from '../../audit/store/drizzle.ts'
import type { LogFiles } from '../../audit/store/schema.ts'
import { sha256 } from '../../cli/wire/machine.ts'
import { copyPiece, keepPiece } from './copies.ts'
import { openMesh } from './mesh.ts'
import { shard, writePiece } from './writer.ts'

const dayMs = 86_400_000
/** Decisions of a piece that are worth writing whole. */
const pieceRows = 90_000
const tendAfter = 250_000

export interface FillOptions {
  readonly store: Store
  readonly logDir: string
  readonly rows: number
  readonly days: number
  /** When the last of them is made. */
  readonly endMs: number
  readonly say: (text: string) => void
}

export interface Filled {
  readonly leaves: number
  readonly decisions: number
  /** Leaves of the first piece, which the log folder holds whole. */
  readonly pieceLeaves: number
  readonly files: LogFiles
}

export async function fillStore({ store, logDir, rows, days, endMs, say }: FillOptions): Promise<Filled> {
  const pieces = Math.round(rows / Math.min(pieceRows, rows / 5))
  const each = Math.ceil(rows / pieces)
  const ms = Math.floor((days * dayMs) / pieces)
  const startMs = endMs - ms * pieces
  await makeDays(store, startMs, endMs)
  const decide = openMesh(endMs)
  const pieceAt = async (number: number, first: number): Promise<number> => {
    const folder = await openLogFolder(join(logDir, number === 0 ? 'first' : 'last'), sha256)
    const fromMs = startMs + ms * number
    const leaves = await writePiece({ store, folder, first, rows: each, fromMs, toMs: fromMs + ms, decide })
    await folder.seal()
    await tendStore(store, [shard])
    return leaves
  }
  const leaves = await pieceAt(0, 0)
  say(
    `a piece of ${each} decisions is ${leaves} leaves and ${(ms / 3_600_000).toFixed(1)} h; ${pieces - 2} copies follow`,
  )
  await store.transaction(async (tx) => {
    await keepPiece(tx)
    for (let copy = 1, added = 0; copy < pieces - 1; copy++, added += each) {
      await copyPiece(tx, { copy, leaves, ms })
      await tx.execute(sql`commit`)
      if (added >= tendAfter || copy === pieces - 2) {
        await tendStore(store, [shard])
        added = 0
        say(`${copy + 1} of ${pieces}`)
      }
      await tx.execute(sql`begin`)
    }
  })
  const size = leaves * (pieces - 1)
  const last = await pieceAt(pieces - 1, size)
  await store.db.execute(sql`insert into checkpoints (shard, size, root, note, at)
    select shard, last + 1, sha256('root'), repeat('n', 300), last_at from batches on conflict do nothing`)
  await store.db.execute(sql.raw('vacuum analyze'))
  return { leaves: size + last, decisions: each * pieces, pieceLeaves: leaves, files: filesOf(logDir, leaves, size) }
}

/** A partition for each day, as the auditor that ran then would have made. */
async function makeDays(store: Store, fromMs: number, toMs: number): Promise<void> {
  for (let at = fromMs - (fromMs % dayMs); at <= toMs; at += dayMs) {
    const [day, next] = [at, at + dayMs].map((time) => new Date(time).toISOString().slice(0, 10))
    for (const kind of ['rows', 'ends']) {
      await store.db.execute(
        sql.raw(`create table if not exists ${kind}_${day!.replaceAll('-', '')} partition of ${kind}
          for values from ('${day} 00:00:00+00') to ('${next} 00:00:00+00')`),
      )
    }
  }
}

/** Leaves of a copy are read from the piece's own bundles: as many files are opened, inflated and parsed. */
function filesOf(logDir: string, leaves: number, size: number): LogFiles {
  const [first, last] = [tileReader(join(logDir, 'first')), tileReader(join(logDir, 'last'))]
  return () => (path) => {
    const found = /^tile\/entries\/((?:x\d{3}\/)*\d{3})$/.exec(path)
    if (!found) return Promise.resolve(undefined)
    const bundle = Number(found[1]!.replaceAll(/[x/]/g, ''))
    const [reader, of] =
      bundle * tileWidth < size ? [first, bundle % (leaves / tileWidth)] : [last, bundle - size / tileWidth]
    return reader(tilePath('entries', of))
  }
}
