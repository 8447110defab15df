/** A log as it was at one checkpoint, whatever is written to it meanwhile: all of a report is about the same bytes. */

import { fromUtf8, utf8 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { Checkpoint } from '../../core/log.ts'
import { parseCheckpoint } from '../log/checkpoint.ts'
import { parseNote } from '../log/note.ts'
import { checkpointFile, witnessedFile } from '../log/prove.ts'
import type { TileReader } from '../log/tiles.ts'
import { countStamps } from '../verify/stamps.ts'
import type { TreeSource } from '../verify/tree.ts'

/** Which checkpoint of a shard. A report names them, so that it can be made again. */
export interface Pin {
  readonly shard: number
  readonly note: string
  readonly witnessed?: string
  /** Time stamps that are looked at. */
  readonly stamps: number
}

export interface PinnedSource extends TreeSource {
  readonly pin: Pin
  /** What the note says; its signature is looked at by the verification. */
  readonly checkpoint: Checkpoint | undefined
}

/** Throws `usage` where a pin is of a shard that is not there. */
export async function pinSources(
  sources: readonly TreeSource[],
  pins?: readonly Pin[],
): Promise<readonly PinnedSource[]> {
  const strange = pins?.find(({ shard }) => !sources.some((source) => source.shard === shard))
  if (strange) {
    throw new WritError('usage', `there is no log ${strange.shard} here, whose checkpoint was named`, {
      cure: 'name the report or the checkpoint of this log',
    })
  }
  const pinned: PinnedSource[] = []
  for (const source of sources) {
    const pin = pins ? pins.find(({ shard }) => shard === source.shard) : await newestPin(source)
    if (pin) pinned.push({ ...source, read: reader(source.read, pin), pin, checkpoint: checkpointIn(pin.note) })
    else if (!pins) pinned.push({ ...source, pin: { shard: source.shard, note: '', stamps: 0 }, checkpoint: undefined })
  }
  return pinned
}

/** In this order: the log may grow meanwhile, and what others said of it must not be ahead of it. */
async function newestPin({ shard, read }: TreeSource): Promise<Pin | undefined> {
  const stamps = await countStamps(read)
  const witnessed = await read(witnessedFile)
  const note = await read(checkpointFile)
  if (!note) return undefined
  return { shard, note: fromUtf8(note), stamps, ...(witnessed && { witnessed: fromUtf8(witnessed) }) }
}

function reader(read: TileReader, { note, witnessed, stamps }: Pin): TileReader {
  return async (path) => {
    if (path === checkpointFile) return utf8(note)
    if (path === witnessedFile) return witnessed === undefined ? undefined : utf8(witnessed)
    const stamp = /^timestamps\/(\d{6})\./.exec(path)
    return stamp && Number(stamp[1]) > stamps ? undefined : read(path)
  }
}

export const checkpointIn = (note: string): Checkpoint | undefined => parseCheckpoint(parseNote(note)?.text ?? '')
