/** yaml.* */

import { BuiltinError, type BuiltinFamily } from '../builtin.ts'
import { stringOf } from '../operand.ts'
import { readYaml } from './read.ts'
import { writeYaml } from './write.ts'

function isValid(text: string): boolean {
  try {
    readYaml(text)
    return true
  } catch (thrown) {
    if (thrown instanceof BuiltinError) return false
    throw thrown
  }
}

export const yaml: BuiltinFamily = {
  'yaml.is_valid': (_, text) => typeof text === 'string' && isValid(text),
  'yaml.marshal': (_, value) => writeYaml(value),
  'yaml.unmarshal': (_, text) => readYaml(stringOf(text)),
}
