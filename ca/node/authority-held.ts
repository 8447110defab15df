/** The state of an authority as it stands: read, changed one step at a time, and written before it counts. */

import { WritError } from '../../core/fault.ts'
import type { TrustBundle } from '../../core/identity.ts'
import type { TrustDomain } from '../../core/spiffe.ts'
import { type Authorities, activeOf } from '../authorities.ts'
import { distrustedIn } from '../issuers.ts'
import { hasFormer, removeFormer, takeFormer } from './authority-former.ts'
import { type Making, makeAuthority } from './authority-make.ts'
import { openSigning, type Signing } from './authority-sign.ts'
import { authoritiesText, type HeldAuthority, readAuthorities } from './authority-state.ts'
import type { StoredDocument } from './document.ts'

/** What an authority is about to do; `bundle` is the one that is served from then on. */
export interface AuthorityChange {
  readonly action:
    | 'prepared'
    | 'activated'
    | 'withdrawn'
    | 'undone'
    | 'paused'
    | 'resumed'
    | 'issuer_made'
    | 'issuer_distrusted'
    | 'issuer_denied'
    | 'issuer_undone'
    | 'issuer_forgotten'
    | 'lengthened'
  /** Of the authority that it is about. */
  readonly id: string
  /** Serial number of the issuer that it is about, lower-case hex; undefined where it is about none. */
  readonly issuer?: string | undefined
  readonly bundle: TrustBundle
}

type State = Authorities<HeldAuthority>

export interface Held {
  state(): State
  signing(): Signing
  onChange(keep: (change: AuthorityChange) => Promise<void>): void
  subscribe(changed: () => void): () => void
  /** Kept first, then written, then served. Rejects with `in_use` where somebody else wrote at the same time. */
  change(action: AuthorityChange['action'], id: string, next: State, issuer?: string): Promise<AuthorityChange>
  /** One after another: each begins with what is written by now. */
  inTurn<T>(work: () => Promise<T>): Promise<T>
}

interface Current {
  readonly version: number
  readonly state: State
  readonly signing: Signing
}

/** Makes an authority where there is none, or takes in one of the former layout. */
export async function holdAuthorities({
  store,
  dir,
  making,
}: {
  readonly store: StoredDocument
  readonly dir: string
  readonly making: Making
}): Promise<Held> {
  const { trustDomain, nowMs, seal } = making
  const open = (state: State, version: number): Current => ({
    ...{ state, version },
    signing: openSigning(activeOf(state), trustDomain, (text) => seal.open(text)),
  })
  const swap = (version: number, state: State): Promise<boolean> =>
    store.swap(version, authoritiesText(trustDomain, version + 1, state))
  const subscribers = new Set<() => void>()
  let keep: (change: AuthorityChange) => Promise<void> = async () => {}
  let turn: Promise<unknown> = Promise.resolve()
  let current = await first()
  removeFormer(dir)
  store.subscribe?.(() => {
    turn = turn.then(load).catch(() => {}) // The next step tells what is wrong with the store.
  })

  async function first(): Promise<Current> {
    for (;;) {
      const found = await store.read()
      if (found) return open(readAuthorities(found.text, trustDomain), found.version)
      const made = hasFormer(dir) ? await takeFormer(dir, making) : await makeAuthority(making, 1)
      const list: HeldAuthority[] = [{ ...made, phase: 'active', activatedAtMs: nowMs() }]
      await swap(0, { sequence: 1, paused: false, list }) // Whoever is second takes what the first made.
    }
  }

  function adopt(next: Current): void {
    const told = ({ state }: Current): string => [state.sequence, ...distrustedIn(state.list)].join()
    const before = told(current)
    current = next
    if (before !== told(next)) for (const changed of [...subscribers]) changed()
  }

  async function load(): Promise<void> {
    const found = await store.read()
    if (!found) {
      throw new WritError('certificate_invalid', "the authority's state is gone", { cure: 'restore it from a backup' })
    }
    if (found.version !== current.version) adopt(open(readAuthorities(found.text, trustDomain), found.version))
  }

  return {
    state: () => current.state,
    signing: () => current.signing,
    onChange(next) {
      keep = next
    },
    subscribe(changed) {
      subscribers.add(changed)
      return () => subscribers.delete(changed)
    },
    async change(action, id, next, issuer) {
      const bundle = bundleOf(trustDomain, next)
      const told: AuthorityChange = { action, id, bundle, ...(issuer !== undefined && { issuer }) }
      const opened = open(next, current.version + 1) // What cannot sign is never written.
      await keep(told)
      if (await swap(current.version, next)) {
        adopt(opened)
        return told
      }
      await load()
      throw new WritError('in_use', 'another process changed the authority at the same time', {
        cure: 'look at: writ ca status, and try again',
      })
    },
    inTurn(work) {
      const alone = store.exclusive?.bind(store) ?? (<T>(alone: () => Promise<T>): Promise<T> => alone())
      const mine = turn.then(() => alone(() => load().then(work)))
      turn = mine.catch(() => {})
      return mine
    },
  }
}

export const bundleOf = (trustDomain: TrustDomain, { sequence, list }: Authorities): TrustBundle => ({
  trustDomain,
  sequence,
  roots: list.map(({ root }) => root),
  jwtKeys: list.map(({ jwtKey }) => jwtKey),
})
