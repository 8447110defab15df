/** Values of files held against their shape; what is wrong is named with its place. */

import type { z } from 'zod'
import { WritError } from '../../../core/fault.ts'

export function readShape<T>(shape: z.ZodType<T>, value: unknown, file: string): T {
  const read = shape.safeParse(value)
  if (read.success) return read.data
  const { path, message } = read.error.issues[0]!
  const place = path.length > 0 ? `${path.map(String).join('.')}: ` : ''
  throw new WritError('config_invalid', `${file}: ${place}${message}`, {
    cure: 'docs/COMPLIANCE.md shows what such a file holds',
  })
}
