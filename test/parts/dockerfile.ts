/** Reads a Dockerfile as an editor does: every instruction known, in its place, with the arguments it takes. */

import { npmParts, resolveIn } from './npm.ts'
import type { Part } from './part.ts'

export const dockerfile: Part = {
  install: 'npm, and a network that reaches its registry once',
  prepare: npmParts,
}

interface Validator {
  validate(text: string): readonly { readonly message: string; readonly range: { readonly start: { line: number } } }[]
}

export async function validateDockerfile(text: string): Promise<string[]> {
  const validator: Validator = resolveIn(await npmParts(() => undefined))('dockerfile-utils')
  return validator.validate(text).map(({ message, range }) => `line ${range.start.line + 1}: ${message}`)
}
