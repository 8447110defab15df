/** How far a long run is, on one line of a terminal; where nobody looks, nothing is written. */

const everyMs = 200

export interface Shown {
  readonly isTTY?: boolean
  write(text: string): unknown
}

/** Passes pages on, and says how many items went by. The line is gone when the last one did. */
export async function* counted<Item>(
  pages: AsyncIterable<readonly Item[]>,
  what: string,
  to: Shown = process.stderr,
): AsyncGenerator<readonly Item[]> {
  if (!to.isTTY) return yield* pages
  let count = 0
  let saidMs = performance.now()
  try {
    for await (const page of pages) {
      yield page
      count += page.length
      const nowMs = performance.now()
      if (nowMs - saidMs < everyMs) continue
      saidMs = nowMs
      to.write(`\r${count.toLocaleString('en-US')} ${what}`)
    }
  } finally {
    to.write('\r\x1b[K')
  }
}

/** Passes bytes on, and says how many went by. */
export async function* byteCounter(
  chunks: AsyncIterable<Uint8Array>,
  what: string,
  to: Shown = process.stderr,
): AsyncGenerator<Uint8Array> {
  if (!to.isTTY) return yield* chunks
  let bytes = 0
  let saidMs = performance.now()
  try {
    for await (const chunk of chunks) {
      yield chunk
      bytes += chunk.length
      const nowMs = performance.now()
      if (nowMs - saidMs < everyMs) continue
      saidMs = nowMs
      to.write(`\r${(bytes / 1e6).toFixed(1)} MB ${what}`)
    }
  } finally {
    to.write('\r\x1b[K')
  }
}

/** Says a count that is told now and then; `end` takes the line away. */
export function countShown(what: string, to: Shown = process.stderr): { say(count: number): void; end(): void } {
  let saidMs = performance.now()
  return {
    say(count) {
      const nowMs = performance.now()
      if (!to.isTTY || nowMs - saidMs < everyMs) return
      saidMs = nowMs
      to.write(`\r${count.toLocaleString('en-US')} ${what}`)
    },
    end() {
      if (to.isTTY) to.write('\r\x1b[K')
    },
  }
}
