/** The first step of a Rego file's package, read without a parser. */

import { fromUtf8 } from '../../core/bytes.ts'

/** Undefined where the file has none that can be told: the compiler says why. */
export function packageOf(bytes: Uint8Array): string | undefined {
  try {
    return /^[ \t]*package[ \t]+([A-Za-z_]\w*)/m.exec(fromUtf8(bytes))?.[1]
  } catch {
    return undefined
  }
}
