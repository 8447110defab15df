/** Objects with text for keys, written down as TypeScript does. */

import { objectOf, type RegoObject, type Value } from '../value.ts'

export const object = (members: Readonly<Record<string, Value>>): RegoObject => objectOf(Object.entries(members))
