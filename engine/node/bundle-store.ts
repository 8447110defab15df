/** Bundles of one source on disk: what is loaded before the network is asked, and what can be gone back to. */

import { isObject } from '../../core/json.ts'
import type { KeptBundle, SourceState } from '../poll.ts'
import { type KeptFiles, openKeptFiles } from './kept-files.ts'

export const openBundleStore = (dir: string): KeptFiles<SourceState> =>
  openKeptFiles(dir, { suffix: '.tar.gz', isState, digestsOf: ({ kept }) => kept.map(({ sha256 }) => sha256) })

function isState(value: unknown): value is SourceState {
  if (!isObject(value) || value['v'] !== 1 || typeof value['url'] !== 'string') return false
  const { served, inForce, kept } = value
  if (inForce !== undefined && !isDigest(inForce)) return false
  if (served !== undefined && !(isObject(served) && isDigest(served['sha256']) && isEtag(served['etag']))) return false
  return Array.isArray(kept) && kept.every(isKept)
}

const isDigest = (value: unknown): boolean => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
const isEtag = (value: unknown): boolean => value === undefined || typeof value === 'string'

const isKept = (value: unknown): value is KeptBundle =>
  isObject(value) &&
  isDigest(value['sha256']) &&
  typeof value['revision'] === 'string' &&
  Number.isSafeInteger(value['atMs'])
