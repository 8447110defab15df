/** Work that waits for others more than for the processor: so many pieces at a time. */

/** Begins no more once one has failed, and rejects with that once all that had begun are over. */
export async function inParallel(jobs: Iterable<() => Promise<void>>, atOnce: number): Promise<void> {
  const queue = jobs[Symbol.iterator]()
  let failed: { readonly thrown: unknown } | undefined
  const worker = async (): Promise<void> => {
    for (let next = queue.next(); !next.done && !failed; next = queue.next()) {
      await next.value().catch((thrown: unknown) => {
        failed ??= { thrown }
      })
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  if (failed) throw failed.thrown
}
