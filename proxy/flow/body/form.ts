/** `application/x-www-form-urlencoded`, as Go reads it, and only what all readers read alike. */

export type FormRead = { readonly values: Readonly<Record<string, readonly string[]>> } | { readonly wrong: string }

export function readForm(text: string): FormRead {
  // No prototype: a field may be called `__proto__`, and is then one like any other.
  const values: Record<string, string[]> = Object.create(null)
  for (const pair of text.split('&')) {
    if (pair === '') continue
    if (pair.includes(';')) return { wrong: 'a form with a semicolon, which some take for an ampersand' }
    const cut = pair.indexOf('=')
    const name = decode(cut < 0 ? pair : pair.slice(0, cut))
    const value = cut < 0 ? '' : decode(pair.slice(cut + 1))
    if (name === undefined || value === undefined) return { wrong: 'a form with an escape that is none, or not UTF-8' }
    add(values, name, value)
  }
  return { values }
}

export function add<Value>(values: Record<string, Value[]>, name: string, value: Value): void {
  const before = values[name]
  if (before) before.push(value)
  else values[name] = [value]
}

function decode(text: string): string | undefined {
  const spaced = text.replaceAll('+', ' ')
  if (!spaced.includes('%')) return spaced
  try {
    return decodeURIComponent(spaced)
  } catch {
    return undefined
  }
}
