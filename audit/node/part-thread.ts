/** What runs in a thread that reads parts of a log in a folder, and what it is told and answers. */

import { createHash } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'
import { toHex } from '../../core/bytes.ts'
import { messageOf } from '../../core/fault.ts'
import type { Checkpoint } from '../../core/log.ts'
import type { AuditEvent } from '../../core/record.ts'
import { Findings } from '../verify/finding.ts'
import { type ReadPart, readPart } from '../verify/part.ts'
import { type LeafRange, type OpenTree, openTree, type PlacedLeaf, type TreeSource } from '../verify/tree.ts'
import { sourcesIn } from './logfolder.ts'
import { quickSha256 } from './quick.ts'

/** What a thread begins with. */
export interface PartThread {
  /** Folder with a numbered folder for each shard. */
  readonly dir: string
  /** For whoever gathers. */
  readonly gather?: unknown
}

export interface PartTask {
  readonly id: number
  readonly shard: number
  readonly tree: Checkpoint
  readonly range: LeafRange
  readonly gather: boolean
}

export type PartAnswer =
  | { readonly id: number; readonly read: ReadPart | undefined }
  | { readonly id: number; readonly fault: string }

/** Looks at the leaves of one part, and says what came of them. */
export interface PartGatherer {
  readonly look: (leaf: PlacedLeaf, shard: number, event: AuditEvent | undefined, scanned: boolean) => void
  /** `again`: the same leaves once more. */
  readonly finish: (shard: number, again: () => AsyncIterable<readonly PlacedLeaf[]>) => Promise<unknown>
}

const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest())

/** Answers until the thread is ended. `gathererOf`: of a part, by what the thread began with. */
export async function answerParts(gathererOf?: (gather: unknown) => (range: LeafRange) => PartGatherer): Promise<void> {
  const { dir, gather } = workerData as PartThread
  const port = parentPort
  if (!port) return
  const gatherer = gathererOf?.(gather)
  const sources = await sourcesIn(dir)
  const trees = new Map<string, { readonly tree: OpenTree; readonly told: Findings }>()

  async function opened(source: TreeSource, checkpoint: Checkpoint) {
    const key = `${source.shard} ${checkpoint.size} ${toHex(checkpoint.root)}`
    const told = new Findings()
    const one = trees.get(key) ?? { told, tree: await openTree(source, checkpoint, sha256, quickSha256, told) }
    trees.set(key, one)
    return { source, ...one }
  }

  async function read({ shard, tree: checkpoint, range, gather }: PartTask): Promise<ReadPart | undefined> {
    const source = sources.find((one) => one.shard === shard)
    if (!source) return undefined
    const of = await opened(source, checkpoint)
    const own = gather ? gatherer?.(range) : undefined
    const part = await readPart(of, range, own && ((leaf, ...told) => own.look(leaf, shard, ...told)))
    if (!part || !own) return part
    return { ...part, gathered: await own.finish(shard, () => of.tree.leaves(range)) }
  }

  let last: Promise<void> = Promise.resolve()
  port.on('message', (task: PartTask) => {
    last = last.then(async () => {
      const answer: PartAnswer = await read(task).then(
        (part) => ({ id: task.id, read: part }),
        (thrown: unknown) => ({ id: task.id, fault: messageOf(thrown) }),
      )
      const bytes = 'read' in answer ? answer.read?.bytes.buffer : undefined
      port.postMessage(answer, bytes instanceof ArrayBuffer ? [bytes] : [])
    })
  })
}
