/** Registration entries at the operator's door: those of the mesh file are shown, those made here can be taken away. */

import { z } from 'zod'
import { entryJson } from '../../ca/entries.ts'
import { WritError } from '../../core/fault.ts'
import type { RecordSink } from '../../core/ports.ts'
import type { TrustDomain } from '../../core/spiffe.ts'
import type { RevisedEntry } from '../../core/workload.ts'
import { entryOf, registrationEntrySpec } from '../mesh/entries.ts'
import { name } from '../mesh/words.ts'
import { type DoorApp, doorApp, readJson, type Unexpected } from './http.ts'

type Later<T> = T | Promise<T>

export interface EntryParts {
  readonly trustDomain: TrustDomain
  readonly entries: () => readonly RevisedEntry[]
  /** Of the mesh file: what is there is changed there alone. */
  readonly isOfMesh: (name: string) => boolean
  /** Puts it in the place of one of that name, if there is one. Rejects with `in_use` when there are too many. */
  readonly put: (entry: RevisedEntry) => Later<void>
  readonly remove: (name: string) => Later<void>
  readonly sink: () => RecordSink
  readonly actor: string
  readonly unexpected: Unexpected
}

const maxBodyBytes = 64 * 1024
const entryBody = z.strictObject({ name, spec: registrationEntrySpec })

export function entryRoutes(parts: EntryParts): DoorApp {
  const app = doorApp(parts.unexpected)
  /** Kept before it is done: an act whose record cannot be kept does not happen. */
  const keep = async (action: string, { id, name, revision }: RevisedEntry): Promise<void> => {
    await parts.sink().keep({ kind: 'admin', action, actor: parts.actor, detail: `${name}@${revision}: ${id}` })
  }
  const shown = (entry: RevisedEntry): object => ({
    ...(entryJson(entry) as object),
    revision: entry.revision,
    source: parts.isOfMesh(entry.name) ? 'mesh' : 'api',
  })
  const notOfMesh = (name: string): void => {
    if (!parts.isOfMesh(name)) return
    throw new WritError('in_use', `${name} is of the mesh file`, { cure: 'change it there, or choose another name' })
  }

  app.get('/v1/registration-entries', (c) => c.json({ entries: parts.entries().map(shown) }))

  app.put('/v1/registration-entries', async (c) => {
    const { name, spec } = await readJson(c.req.raw, maxBodyBytes, entryBody)
    notOfMesh(name)
    const read = entryOf(name, spec, parts.trustDomain)
    if ('wrong' in read) throw new WritError('usage', `${read.at.join('.')}: ${read.wrong}`, { cure: read.cure })
    await keep('entry_put', read.entry)
    await parts.put(read.entry)
    return c.json(shown(read.entry))
  })

  app.delete('/v1/registration-entries/:name', async (c) => {
    const found = parts.entries().find((entry) => entry.name === c.req.param('name'))
    if (!found) {
      throw new WritError('not_found', `there is no entry ${c.req.param('name')}`, { cure: 'see: writ entry list' })
    }
    notOfMesh(found.name)
    await keep('entry_removed', found)
    await parts.remove(found.name)
    return c.json(shown(found))
  })
  return app
}
