import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

/** A file of test vectors in the folder that WRIT_VECTORS names. Without it they are left out, and said to be; in CI they must be there. */
export function vectorsOf<Item>(file: string, member: string): readonly Item[] {
  const items = load<Item>(file, member)
  test.runIf(process.env['CI'])('the vectors are there', () => {
    expect(items.length, `set WRIT_VECTORS to the folder that holds ${file}`).toBeGreaterThan(0)
  })
  if (items.length === 0) console.warn(`${file} is left out: set WRIT_VECTORS to the folder that holds it`)
  return items
}

function load<Item>(file: string, member: string): readonly Item[] {
  const folder = process.env['WRIT_VECTORS']
  if (!folder) return []
  try {
    return JSON.parse(readFileSync(join(folder, file), 'utf8'))[member]
  } catch {
    return []
  }
}
