/** Time stamps that a log keeps of its checkpoints: `timestamps/000001.note`, what was stamped, and `.tsr`, the stamp. */

import type { TileReader } from '../log/tiles.ts'

const maxStamps = 999_999

const pathOf = (number: number, end: 'note' | 'tsr'): string => `timestamps/${String(number).padStart(6, '0')}.${end}`

/** They are numbered without a gap; what stands behind one is not found. */
export async function countStamps(read: TileReader): Promise<number> {
  let count = 0
  while (count < maxStamps && (await read(pathOf(count + 1, 'note')))) count++
  return count
}

export async function readStamp(
  read: TileReader,
  number: number,
  faultOf: (token: Uint8Array, note: Uint8Array) => string | undefined,
): Promise<{ readonly note: string; readonly fault: string | undefined }> {
  const note = (await read(pathOf(number, 'note'))) ?? new Uint8Array(0)
  const token = await read(pathOf(number, 'tsr'))
  const fault = token ? faultOf(token, note) : 'it is not there'
  return {
    note: new TextDecoder().decode(note),
    fault: fault && `the time stamp ${pathOf(number, 'tsr')}: ${fault}`,
  }
}
