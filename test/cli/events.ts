/** What a log folder holds, read as its entries. */

import { parseCheckpoint } from '../../audit/log/checkpoint.ts'
import { readBundle } from '../../audit/log/tiles.ts'
import { sourcesIn } from '../../audit/node/logfolder.ts'

export interface Event {
  readonly kind: string
  readonly producer: string
  readonly previous?: { readonly ended: string }
  readonly action?: string
  readonly actor?: string
}

/** Every entry of the first log in a folder, in order. */
export async function eventsIn(dir: string): Promise<Event[]> {
  const [source] = await sourcesIn(dir)
  const note = new TextDecoder().decode(await source!.read('checkpoint'))
  const { size } = parseCheckpoint(note.slice(0, note.indexOf('\n\n') + 1))!
  const leaves: Uint8Array[] = []
  for (let index = 0; leaves.length < size; index++) leaves.push(...(await readBundle(source!.read, index, size)))
  return leaves.map((leaf) => JSON.parse(new TextDecoder().decode(leaf)) as Event)
}
