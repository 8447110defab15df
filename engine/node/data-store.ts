/** Versions of one source of data on disk, by their digest: what the next start begins with, and what records name. */

import { isObject } from '../../core/json.ts'
import { type KeptFiles, openKeptFiles } from './kept-files.ts'

export interface KeptData {
  readonly sha256: string
  readonly bytes: number
  /** When it came, in milliseconds since 1970. */
  readonly atMs: number
}

export interface DataState {
  readonly v: 1
  /** File or URL that it came from: an ETag is nothing to another server. */
  readonly place: string
  readonly etag: string | undefined
  /** When the version in force was last seen to be the newest, in milliseconds since 1970. */
  readonly checkedMs: number
  /** The one in force first. */
  readonly kept: readonly KeptData[]
}

export const openDataStore = (dir: string): KeptFiles<DataState> =>
  openKeptFiles(dir, { suffix: '.data', isState, digestsOf: ({ kept }) => kept.map(({ sha256 }) => sha256) })

/** The newest first; those that are over either limit go, but never the first. */
export function within(kept: readonly KeptData[], most: number, mostBytes: number): readonly KeptData[] {
  let bytes = 0
  return kept.filter((one, i) => {
    bytes += one.bytes
    return i === 0 || (i < most && bytes <= mostBytes)
  })
}

function isState(value: unknown): value is DataState {
  if (!isObject(value) || value['v'] !== 1 || typeof value['place'] !== 'string') return false
  const { etag, checkedMs, kept } = value
  if (etag !== undefined && typeof etag !== 'string') return false
  return Number.isSafeInteger(checkedMs) && Array.isArray(kept) && kept.length > 0 && kept.every(isKept)
}

const isKept = (value: unknown): value is KeptData =>
  isObject(value) &&
  typeof value['sha256'] === 'string' &&
  /^[0-9a-f]{64}$/.test(value['sha256']) &&
  Number.isSafeInteger(value['bytes']) &&
  Number.isSafeInteger(value['atMs'])
