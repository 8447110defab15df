/** Answers that are waited for one after the other, while some of those behind are made already. */

/** Asks about each item, in order, and hands on its answer; at most `atOnce` are asked for and not handed on yet. */
export async function* ahead<Item, Answer>(
  items: Iterable<Item>,
  atOnce: number,
  ask: (item: Item) => Promise<Answer>,
): AsyncGenerator<readonly [Item, Answer]> {
  const waiting: (readonly [Item, Promise<Answer>])[] = []
  for (const item of items) {
    const asking = ask(item)
    asking.catch(() => undefined) // Thrown where it is awaited.
    waiting.push([item, asking])
    if (waiting.length < atOnce) continue
    const [first, answer] = waiting.shift()!
    yield [first, await answer]
  }
  for (const [item, answer] of waiting) yield [item, await answer]
}

/** A range in parts that begin at multiples of `length`. */
export function* partsOf(
  from: number,
  to: number,
  length: number,
): Generator<{ readonly from: number; readonly to: number }> {
  for (let at = from; at < to; ) {
    const end = Math.min(to, (Math.floor(at / length) + 1) * length)
    yield { from: at, to: end }
    at = end
  }
}
