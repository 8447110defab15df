/** Keeps what was compiled from text, for later evaluations of the same policy: bounded, the least used goes first. */

export interface PatternCache {
  /** What `compile` made of `text` for this `kind` of pattern. What it throws is thrown each time anew. */
  compiled<T>(kind: string, text: string, compile: () => T): T
}

export interface PatternCacheLimits {
  /** Default 1000. */
  readonly maxPatterns?: number
  /** Characters of all patterns together. Default 1 MiB. */
  readonly maxCharacters?: number
}

export function makePatternCache({
  maxPatterns = 1000,
  maxCharacters = 1024 ** 2,
}: PatternCacheLimits = {}): PatternCache {
  const kept = new Map<string, unknown>()
  let characters = 0
  const forget = (key: string): void => {
    if (kept.delete(key)) characters -= key.length
  }
  return {
    compiled<T>(kind: string, text: string, compile: () => T): T {
      const key = `${kind}\0${text}`
      const made = kept.has(key) ? (kept.get(key) as T) : compile()
      forget(key)
      kept.set(key, made) // Last in line: a Map gives its keys in the order they were put in.
      characters += key.length
      while (kept.size > maxPatterns || characters > maxCharacters) forget(kept.keys().next().value!)
      return made
    },
  }
}
