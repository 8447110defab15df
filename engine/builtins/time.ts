/** time.* */

import { fromInteger } from '../value.ts'
import type { BuiltinFamily } from './builtin.ts'

export const time: BuiltinFamily = {
  'time.now_ns': (context) => {
    const now = fromInteger(context.nowNs)
    context.record('time.now_ns', [], now)
    return now
  },
}
