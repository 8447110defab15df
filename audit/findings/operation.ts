/** What kind of request it was: its method and the shape of its path, so that `/orders/1` and `/orders/2` are one. */

import { pathShape } from '../replay/shape.ts'

/** Longest of each, in characters: whoever makes up methods and paths makes no rows without end by them. */
const maxMethod = 16
const maxShape = 200

export const operationOf = (method: string, path: string): string =>
  `${method.slice(0, maxMethod)} ${pathShape(path).slice(0, maxShape)}`
