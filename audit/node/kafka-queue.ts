/** One request in flight for each partition: what comes meanwhile goes together in the next, in the order it came. */

export interface QueueOptions<Batch> {
  /** Bytes of the batches in one request. A larger one goes alone. */
  readonly maxBytes: number
  readonly sizeOf: (batch: Batch) => number
  /** Resolves once all of them were taken. */
  readonly send: (batches: readonly Batch[]) => Promise<void>
  /** Whether what it threw may be about one of them alone: then each is sent by itself. */
  readonly isOfOne: (thrown: unknown) => boolean
}

export interface PartitionQueue<Batch> {
  /** Settles as the request does that the batch was in. */
  publish(batch: Batch): Promise<void>
  /** Resolves once nothing waits any more. */
  idle(): Promise<void>
}

interface Waiting<Batch> {
  readonly batch: Batch
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

export function partitionQueue<Batch extends { readonly partition: number }>(
  options: QueueOptions<Batch>,
): PartitionQueue<Batch> {
  const waiting = new Map<number, Waiting<Batch>[]>()
  const running = new Map<number, Promise<void>>()

  const run = async (partition: number, queue: Waiting<Batch>[]): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve)) // Epochs that have records at the same time come together.
    while (queue.length > 0) await settle(queue.splice(0, fitting(queue)))
    waiting.delete(partition)
    running.delete(partition)
  }

  const fitting = (queue: readonly Waiting<Batch>[]): number => {
    let bytes = 0
    let count = 0
    for (const { batch } of queue) {
      bytes += options.sizeOf(batch)
      if (count > 0 && bytes > options.maxBytes) break
      count++
    }
    return count
  }

  const settle = async (group: readonly Waiting<Batch>[]): Promise<void> => {
    try {
      await options.send(group.map(({ batch }) => batch))
    } catch (thrown) {
      if (group.length > 1 && options.isOfOne(thrown)) for (const one of group) await settle([one])
      else for (const { reject } of group) reject(thrown)
      return
    }
    for (const { resolve } of group) resolve()
  }

  return {
    publish(batch) {
      const { partition } = batch
      return new Promise((resolve, reject) => {
        const one = { batch, resolve, reject }
        const queue = waiting.get(partition)
        if (queue) {
          queue.push(one)
          return
        }
        const begun = [one]
        waiting.set(partition, begun)
        running.set(partition, run(partition, begun))
      })
    },
    async idle() {
      await Promise.all(running.values())
    },
  }
}
