/**
 * The roots that an auditor has believed, and when: what a proxy signed hours ago and could not send until now was signed
 * under the roots of then. In a file of the state folder, for the next start.
 */

import { join } from 'node:path'
import { overlapMs } from '../../audit/verify/trust.ts'
import { readText, replaceText } from '../../ca/node/files.ts'
import { fromBase64, toBase64 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { TrustBundle } from '../../core/identity.ts'
import { isObject, parseJson } from '../../core/json.ts'
import type { TrustDomain } from '../../core/spiffe.ts'

/** Most roots that are remembered; the oldest that are withdrawn go first. */
const maxRoots = 4096

export interface KnownRoots {
  /** Takes in a bundle as it is now. */
  update(bundle: TrustBundle): void
  /** The roots of a trust domain that were in its bundle at a time, give or take an hour. */
  at(trustDomain: TrustDomain, atMs: number): readonly Uint8Array[]
}

interface Known {
  readonly trustDomain: string
  /** Base64 DER. */
  readonly root: string
  /** 0 for those of the first bundle ever seen. */
  readonly fromMs: number
  /** When it was seen to be gone; undefined while it is there. */
  readonly untilMs?: number
}

/** Throws `config_invalid` where the file is damaged: without it honest heads would be told to be false. */
export function openKnownRoots(dir: string, nowMs: () => number): KnownRoots {
  const path = join(dir, 'known-roots.json')
  let known = read(path)
  const ders = new Map(known.map(({ root }) => [root, fromBase64(root)!]))
  return {
    update({ trustDomain, roots }) {
      const now = new Set(roots.map(toBase64))
      const own = known.filter((one) => one.trustDomain === trustDomain)
      const next = known.map((one): Known => {
        const { untilMs, ...rest } = one
        if (one.trustDomain !== trustDomain || now.has(one.root) === (untilMs === undefined)) return one
        return now.has(one.root) ? rest : { ...rest, untilMs: nowMs() }
      })
      const fresh = [...now]
        .filter((root) => !own.some((one) => one.root === root))
        .map((root): Known => ({ trustDomain, root, fromMs: own.length === 0 ? 0 : nowMs() }))
      if (fresh.length === 0 && next.every((one, i) => one === known[i])) return
      known = bounded([...next, ...fresh])
      for (const root of roots) ders.set(toBase64(root), root)
      replaceText(path, `${JSON.stringify(known)}\n`)
    },
    at: (trustDomain, atMs) =>
      known
        .filter((one) => one.trustDomain === trustDomain)
        .filter(
          ({ fromMs, untilMs = Number.POSITIVE_INFINITY }) => fromMs - overlapMs <= atMs && atMs <= untilMs + overlapMs,
        )
        .map(({ root }) => ders.get(root)!),
  }
}

function bounded(known: readonly Known[]): readonly Known[] {
  const over = known.length - maxRoots
  if (over <= 0) return known
  const gone = known.filter(({ untilMs }) => untilMs !== undefined).slice(0, over)
  return known.filter((one) => !gone.includes(one))
}

function read(path: string): readonly Known[] {
  const text = readText(path)
  const value = text === undefined ? [] : parseJson(text)
  const whole = (one: unknown): boolean =>
    isObject(one) &&
    typeof one['trustDomain'] === 'string' &&
    typeof one['root'] === 'string' &&
    fromBase64(one['root']) !== undefined &&
    typeof one['fromMs'] === 'number' &&
    (one['untilMs'] === undefined || typeof one['untilMs'] === 'number')
  if (Array.isArray(value) && value.every(whole)) return value as unknown as readonly Known[]
  throw new WritError('config_invalid', `${path} is damaged`, {
    cure: 'restore it, or remove it: heads signed under roots that are gone are then told to be bad',
  })
}
