/** Files of a bundle that hold values: data.json, and data.yaml as OPA reads it. */

import { fromUtf8 } from '../core/bytes.ts'
import { readYaml } from './builtins/yaml/read.ts'
import type { TarFile } from './tar.ts'
import { parseJsonValue, type Value } from './value.ts'

const fileName = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

export const isYamlData = (path: string): boolean => ['data.yaml', 'data.yml'].includes(fileName(path))
export const isData = (path: string): boolean => fileName(path) === 'data.json' || isYamlData(path)

/** Files of which OPA hashes what they say, so that their spaces and the order of members do not count. */
export const isStructured = (path: string): boolean => isData(path) || fileName(path) === '.manifest'

/** A value that keeps its numbers as they were written. Throws an Error on what is neither JSON nor, for YAML, that. */
export function structureOf(file: TarFile): Value {
  const text = fromUtf8(file.bytes)
  if (!isYamlData(file.name)) return parseJsonValue(text)
  try {
    return parseJsonValue(text) // All JSON is YAML, but not all of its numbers are the same there.
  } catch {
    return readYaml(text)
  }
}
