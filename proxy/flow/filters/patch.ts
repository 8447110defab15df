/** JSON merge patches (RFC 7396) of bodies. Numbers keep the value that they were written with. */

import { type Exact, exactText, isExactObject, readExact } from '../../../core/exact.ts'
import type { Json } from '../../../core/json.ts'
import { isUtf8, readMediaType } from '../body/media.ts'

/** RFC 7396 section 2: null takes a member away, an object goes into it, anything else takes its place. */
export function mergePatch(target: Exact | undefined, patch: Json): Exact {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch as Exact
  const merged: { [name: string]: Exact | undefined } = Object.create(null)
  if (isExactObject(target)) Object.assign(merged, target)
  for (const [name, value] of Object.entries(patch as { readonly [name: string]: Json })) {
    if (value === null) delete merged[name]
    else merged[name] = mergePatch(merged[name], value)
  }
  return merged
}

/** Whether a body of this media type is JSON (RFC 8259, and the suffix of RFC 6839). */
export function isJson(contentType: string | undefined): boolean {
  const media = contentType === undefined ? undefined : readMediaType(contentType)
  return media !== undefined && isUtf8(media) && /^application\/(?:[^/]+\+)?json$/.test(media.type)
}

/** Undefined where it is no JSON. */
export function patchedBody(bytes: Uint8Array, patch: Json): Uint8Array | undefined {
  try {
    const read = readExact(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    return read.ok ? new TextEncoder().encode(exactText(mergePatch(read.value, patch))) : undefined
  } catch {
    return undefined // No UTF-8, or half a character.
  }
}
