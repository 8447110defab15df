/** Every builtin that a policy may call beyond those compiled into it, by name. */

import type { Builtin } from './builtin.ts'
import { numbers } from './numbers.ts'
import { strings } from './strings.ts'
import { time } from './time.ts'

export const builtins: ReadonlyMap<string, Builtin> = new Map(
  Object.entries({
    ...numbers,
    ...strings,
    ...time,
  }),
)
