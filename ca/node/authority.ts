/** A trust domain's certificate authority: what signs now, and what is published before and after it. */

import { WritError } from '../../core/fault.ts'
import type { TrustBundle } from '../../core/identity.ts'
import type { RandomBytes } from '../../core/ports.ts'
import type { TrustDomain } from '../../core/spiffe.ts'
import {
  type Authorities,
  type AuthorityFacts,
  type AuthorityStep,
  type AuthorityTimes,
  activate,
  activeOf,
  defaultTimes,
  dueStep,
  type Moment,
  maxAuthorities,
  prepare,
  preparedOf,
  undo,
  withdraw,
} from '../authorities.ts'
import { type AuthorityChange, bundleOf, type Held, holdAuthorities } from './authority-held.ts'
import { type Making, makeAuthority, newIssuer, wholeSeconds } from './authority-make.ts'
import { type IssuedLeaf, type IssueRequest, issueLeaf, isWorn, readSigner, refuseForeign } from './authority-sign.ts'
import { authorityFile, type HeldAuthority } from './authority-state.ts'
import type { StoredDocument } from './document.ts'
import { type JwtRequest, jwtMs, type MintedJwt, mintJwtSvid } from './jwt.ts'
import { keySeal, openRootKey, type RootKeys, sealedRootKeys } from './root-keys.ts'
import { writeRevocationList } from './write.ts'

const dayMs = 86_400_000

/** Life of a root: ten years. */
const rootMs = 3650 * dayMs
/** Life of an issuer: one year. A new one is made when a sixth of that is left. */
const issuerMs = 365 * dayMs
/** Longest life of a leaf. */
const maxLeafMs = dayMs
/** Life of a revocation list. */
const listMs = 3_600_000

export interface Authority {
  readonly trustDomain: TrustDomain
  readonly times: AuthorityTimes
  bundle(): TrustBundle
  /** Throws `certificate_invalid` for a key or a name that gets no certificate, `unavailable` where the issuer expired. */
  issue(request: IssueRequest): IssuedLeaf
  mintJwt(request: JwtRequest): Promise<MintedJwt>
  authorities(): Authorities
  /** End of the issuer that signs now. */
  issuerNotAfterMs(): number
  /** Called before each change; what it rejects does not happen. Default nobody asks. */
  onChange(keep: (change: AuthorityChange) => Promise<void>): void
  /** Calls back after each change of the bundle, until the returned function is called. */
  subscribe(changed: () => void): () => void
  /** Takes in what others wrote, and does what is due by itself; says what that was. */
  maintain(moment: Omit<Moment, 'nowMs'>): Promise<readonly AuthorityChange[]>
  /** Publishes a new root. Throws `in_use` where one is prepared already. */
  prepare(): Promise<void>
  /** Lets the prepared root sign. Whether everybody has it is for the caller to know. */
  activate(): Promise<void>
  undo(): Promise<void>
  pause(paused: boolean): Promise<void>
  /** A revocation list of the issuer for those outside: DER, an hour long. What is no serial number is left out. */
  revocationList(denied: Iterable<string>): Uint8Array
}

export interface AuthorityOptions {
  /** Holds `authority.json`: certificates and sealed keys. Made with mode 0700 if missing. */
  readonly dir: string
  readonly trustDomain: TrustDomain
  readonly nowMs: () => number
  readonly random: RandomBytes
  /** Where the state is instead of in the folder, such as a table that several processes share. */
  readonly store?: StoredDocument
  /** Where the keys of roots are instead of beside the state, such as a hardware module. */
  readonly keys?: RootKeys
  /** What keys in the state are encrypted by. Default they are not. */
  readonly passphrase?: string | undefined
  readonly times?: Partial<AuthorityTimes>
  /** Default ten years, one year and a day, in milliseconds. */
  readonly rootMs?: number
  readonly issuerMs?: number
  readonly maxLeafMs?: number
}

/** Throws `certificate_invalid` for a state that is damaged or sealed otherwise, `config_invalid` for another's. */
export async function openAuthority(options: AuthorityOptions): Promise<Authority> {
  const { dir, trustDomain, nowMs, random } = options
  const seal = keySeal(options.passphrase)
  const keys = options.keys ?? sealedRootKeys(seal)
  const times = { ...defaultTimes, ...options.times }
  const making: Making = {
    ...{ trustDomain, nowMs, random, keys, seal },
    rootMs: options.rootMs ?? rootMs,
    issuerMs: options.issuerMs ?? issuerMs,
    maxLeafMs: options.maxLeafMs ?? maxLeafMs,
  }
  const held = await holdAuthorities({ store: options.store ?? authorityFile(dir), dir, making })
  const { state, signing, change, inTurn } = held
  const steps = stepsOf(held, making)
  const take = (due: AuthorityStep): Promise<AuthorityChange> =>
    due.step === 'prepare' ? steps.prepare() : steps[due.step](due.id)
  await inTurn(async () => {
    await steps.lengthen()
    await steps.renewIssuer()
  })

  return {
    trustDomain,
    times,
    bundle: () => bundleOf(trustDomain, state()),
    issuerNotAfterMs: () => signing().issuer.notAfterMs,
    issue(request) {
      refuseForeign(request.id, trustDomain)
      return issueLeaf(signing(), request, making.maxLeafMs, nowMs(), random)
    },
    async mintJwt(request) {
      refuseForeign(request.id, trustDomain)
      const ttlMs = Math.min(request.ttlMs ?? jwtMs, making.maxLeafMs)
      return mintJwtSvid(signing().tokens, { ...request, ttlMs }, nowMs(), random)
    },
    authorities: () => ({ ...state(), list: state().list.map(factsOf) }),
    onChange: held.onChange,
    subscribe: held.subscribe,
    maintain: (moment) =>
      inTurn(async () => {
        const renewed = await steps.renewIssuer()
        const due = dueStep(state(), { ...moment, nowMs: nowMs() }, times)
        const done = due && (await take(due))
        return [renewed, done].filter((one) => one !== undefined)
      }),
    prepare: () =>
      inTurn(async () => {
        const prepared = preparedOf(state())
        if (prepared) {
          throw new WritError('in_use', `the authority ${prepared.id} is prepared already`, {
            cure: 'let it sign by: writ ca activate, or take it back by: writ ca undo',
          })
        }
        await steps.prepare()
      }),
    activate: () =>
      inTurn(async () => {
        const prepared = preparedOf(state())
        if (!prepared) {
          throw new WritError('not_found', 'no authority is prepared', { cure: 'prepare one by: writ ca rotate' })
        }
        await steps.activate(prepared.id)
      }),
    undo: () =>
      inTurn(async () => {
        const next = undo(state(), nowMs())
        if (!next) {
          throw new WritError('not_found', 'there is nothing to take back: one authority is all there is', {
            cure: 'look at: writ ca status',
          })
        }
        await change('undone', preparedOf(state())?.id ?? activeOf(state()).id, next)
      }),
    pause: (paused) =>
      inTurn(async () => {
        if (state().paused === paused) return
        await change(paused ? 'paused' : 'resumed', activeOf(state()).id, { ...state(), paused })
      }),
    revocationList(denied) {
      const { issuer, issuerKeyId, issuerKey } = signing()
      const fromMs = wholeSeconds(nowMs())
      const serials = [...denied].filter((text) => /^[0-9a-f]{1,40}$/.test(text) && /[1-9a-f]/.test(text))
      const fields = { issuer: issuer.subject, issuerKeyId, number: fromMs / 1000, fromMs }
      return writeRevocationList({ ...fields, untilMs: fromMs + listMs, serials }, issuerKey)
    },
  }
}

/** Each step makes what it needs and changes the state by it; none looks at the clock to see whether it is due. */
function stepsOf({ state, signing, change }: Held, making: Making) {
  const { keys, seal, nowMs, trustDomain } = making
  return {
    async prepare(): Promise<AuthorityChange> {
      if (state().list.length >= maxAuthorities) {
        throw new WritError('in_use', `${state().list.length} authorities are in the bundle`, {
          cure: 'wait until retired ones are withdrawn',
        })
      }
      const made = await makeAuthority(making, state().sequence + 1)
      return change('prepared', made.id, prepare(state(), made))
    },
    activate: (id: string): Promise<AuthorityChange> => change('activated', id, activate(state(), id, nowMs())),
    async withdraw(id: string): Promise<AuthorityChange> {
      const gone = state().list.find((one) => one.id === id)!
      const told = await change('withdrawn', id, withdraw(state(), id))
      await keys.destroy(gone.rootKey)
      return told
    },
    /** A new issuer under the same root: nothing needs to be published, for leaves bring it along. */
    async renewIssuer(): Promise<AuthorityChange | undefined> {
      const { issuer } = signing()
      if (!isWorn(issuer, nowMs())) return undefined
      const active = activeOf(state())
      const key = await openRootKey(active.rootKey, keys, seal)
      const made = await newIssuer(making, readSigner(active.root, trustDomain), key)
      if (readSigner(made.issuer, trustDomain).notAfterMs <= issuer.notAfterMs) return undefined
      return change('issuer_made', active.id, replaced(state(), { ...active, ...made }))
    },
    /** Leaves that live longer than those before keep their root in the bundle for longer: said before the first. */
    async lengthen(): Promise<void> {
      const active = activeOf(state())
      if (active.longestMs >= making.maxLeafMs) return
      await change('lengthened', active.id, replaced(state(), { ...active, longestMs: making.maxLeafMs }))
    },
  }
}

const replaced = (state: Authorities<HeldAuthority>, by: HeldAuthority): Authorities<HeldAuthority> => ({
  ...state,
  list: state.list.map((one) => (one.id === by.id ? by : one)),
})

/** What may be told: everything but keys. */
function factsOf(held: HeldAuthority): AuthorityFacts {
  const { rootKey: _root, issuerKey: _issuer, tokenKey: _token, issuer: _certificate, ...facts } = held
  return facts
}
