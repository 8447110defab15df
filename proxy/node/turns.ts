/** Work that can wait: one piece of it a turn of the event loop, so that requests wait for one at most. */

export function oneATurn(): (work: () => void) => void {
  const queue: (() => void)[] = []
  const turn = (): void => {
    try {
      queue[0]?.()
    } finally {
      queue.shift() // Only now, so that what it adds finds the turn taken.
      if (queue.length > 0) setImmediate(turn)
    }
  }
  return (work) => {
    if (queue.push(work) === 1) setImmediate(turn)
  }
}
