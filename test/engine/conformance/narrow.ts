/** The input of one of OPA's cases with nothing but what its plan reads. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { utf8 } from '../../../core/bytes.ts'
import { type Parts, partsOf } from '../../../core/input-path.ts'
import type { Json } from '../../../core/json.ts'
import { readsOfPlan } from '../../../engine/reads.ts'
import { formatValue, objectOf, parseValue, RegoObject, type Value } from '../../../engine/value.ts'
import type { Case } from './judge.ts'

/** In OPA's value syntax; undefined where there is no input, or all of it is read. */
export function narrowInput({ number, input }: Case, folder: string): Uint8Array | undefined {
  if (input === undefined) return undefined
  const plan = JSON.parse(String(gunzipSync(readFileSync(join(folder, `${number}.plan.gz`))))) as Json
  const [reads] = [...readsOfPlan(plan).values()]
  if (!reads) throw new Error(`the plan of case ${number} has no entry point`)
  const parts = partsOf(reads)
  return parts === 'whole' ? undefined : utf8(formatValue(narrowed(parseValue(input), parts)))
}

/** As `projected` does it, for values that JSON may not hold. */
function narrowed(value: Value, parts: Parts): Value {
  if (parts === 'whole' || !(value instanceof RegoObject)) return value
  return objectOf(
    value.entries.flatMap(([name, member]): [Value, Value][] => {
      const below = typeof name === 'string' ? parts.get(name) : undefined
      return below === undefined ? [] : [[name, narrowed(member, below)]]
    }),
  )
}
