/** JSON as Go's encoding/json writes it, where its very bytes count because they are signed. */

import { formatJson, type Value } from '../value.ts'

/** What HTML and JavaScript could trip over is escaped. */
export function goJson(value: Value): string {
  return formatJson(value).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
