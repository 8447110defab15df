import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { jsonSchemaOf, kinds } from '../../../control/mesh/schema.ts'

test('the committed JSON Schemas are those of the kinds (writ schema --write control/mesh/schema)', () => {
  for (const kind of kinds) {
    const committed: unknown = JSON.parse(readFileSync(`control/mesh/schema/${kind}.json`, 'utf8'))
    expect(committed).toEqual(jsonSchemaOf(kind))
  }
  expect(readdirSync('control/mesh/schema').sort()).toEqual(kinds.map((kind) => `${kind}.json`).sort())
})
