/** Host names, and `*.b.c`, which holds `a.b.c` and `x.a.b.c` but not `b.c` (Gateway API, Hostname). */

/** The patterns that hold a host, the narrowest first: the host itself, then the wildcards with more of its name. */
export function* patternsOf(host: string): Iterable<string> {
  yield host
  for (let dot = host.indexOf('.'); dot > 0; dot = host.indexOf('.', dot + 1)) yield `*${host.slice(dot)}`
}

/** What the narrowest pattern that holds the host leads to. */
export function underHost<To>(patterns: ReadonlyMap<string, To>, host: string): To | undefined {
  for (const pattern of patternsOf(host)) {
    const found = patterns.get(pattern)
    if (found !== undefined) return found
  }
  return undefined
}
