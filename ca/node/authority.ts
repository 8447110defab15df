/** A trust domain's certificate authority: what signs now, and what is published before and after it. */

import { WritError } from '../../core/fault.ts'
import type { TrustBundle } from '../../core/identity.ts'
import type { RandomBytes } from '../../core/ports.ts'
import type { TrustDomain } from '../../core/spiffe.ts'
import {
  type Authorities,
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
import { provenKey } from '../csr.ts'
import { distrustedIn, dueIssuerStep, type FormerIssuer, type WithFormer } from '../issuers.ts'
import { type Lifetime, lifetime } from '../lifetimes.ts'
import { type AuthorityChange, bundleOf, type Held, holdAuthorities } from './authority-held.ts'
import { issuerStepsOf, replaced } from './authority-issuer.ts'
import { type Making, makeAuthority, wholeSeconds, writeIssuer } from './authority-make.ts'
import { type IssuedLeaf, type IssueRequest, issueLeaf, readSigner, refuseForeign } from './authority-sign.ts'
import { authorityFile, type HeldAuthority } from './authority-state.ts'
import { verifySignature } from './crypto.ts'
import type { StoredDocument } from './document.ts'
import { type JwtRequest, jwtMs, type MintedJwt, mintJwtSvid } from './jwt.ts'
import { keySeal, openRootKey, type RootKeys, sealedRootKeys } from './root-keys.ts'
import { isUpstream, offlineRef, provenChain, type Upstream } from './upstream.ts'
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
  authorities(): Authorities<WithFormer>
  /** Serial numbers of issuers whose certificates everybody renews at once. */
  distrusted(): readonly string[]
  /** Of the issuer that signs now, and of its root. */
  lifetimes(): readonly Lifetime[]
  /** What went wrong when a new issuer was asked for last; undefined where none is needed. */
  renewalFault(): unknown
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
  /**
   * A new issuer signs from now on. With `distrust` the former one never signs again, and is refused once everybody had the
   * time to renew. Rejects with `in_use`, and with what the root's key or the authority above says.
   */
  rotateIssuer(distrust: boolean): Promise<void>
  /** The former issuer signs again. Rejects with `not_found` where none can. */
  undoIssuer(): Promise<void>
  pause(paused: boolean): Promise<void>
  /**
   * Takes an issuer that an authority above signed, root last, with its key (PKCS#8 PEM, sealed or not): in the place of
   * the one under that root, which is then distrusted where `distrust` says so, or prepared under a new root. Rejects with
   * `certificate_invalid`, `in_use`.
   */
  import(chain: readonly Uint8Array[], key: string, distrust?: boolean): Promise<void>
  /** Signs an issuer for a Writ below, of this trust domain: its chain, root last. Rejects with `certificate_invalid`. */
  signIssuer(csrDer: Uint8Array): Promise<readonly Uint8Array[]>
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
  /** Who signs issuers instead of roots of ours. Default roots are ours. */
  readonly upstream?: Upstream
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
    ...{ trustDomain, nowMs, random, keys, seal, upstream: options.upstream },
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
    await steps.issuer.renew().catch((thrown: unknown) => {
      if (signing().issuer.notAfterMs <= nowMs()) throw thrown // Else it goes on with the one that is there.
    })
  })

  return {
    trustDomain,
    times,
    bundle: () => bundleOf(trustDomain, state()),
    lifetimes: () => [lifetime('issuer', signing().issuer), lifetime('root', activeOf(state()))],
    renewalFault: steps.issuer.renewalFault,
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
    distrusted: () => distrustedIn(state().list),
    onChange: held.onChange,
    subscribe: held.subscribe,
    maintain: (moment) =>
      inTurn(async () => {
        let failed: unknown
        const renewed = await steps.issuer.renew().catch((thrown: unknown) => {
          failed = thrown
          return undefined
        })
        const due = dueStep(state(), { ...moment, nowMs: nowMs() }, times)
        // A root above is followed by those above it: when they have another one, its next issuer brings it.
        const theirs = due?.step === 'prepare' && isUpstream(activeOf(state()).rootKey)
        const done = due && !theirs && (await take(due))
        const late = dueIssuerStep(state(), nowMs(), times)
        const over = late && (await steps.issuer.take(late))
        if (failed) throw failed
        return [renewed, done || undefined, over].filter((one) => one !== undefined)
      }),
    prepare: () =>
      inTurn(async () => {
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
    rotateIssuer: (distrust) => inTurn(() => steps.issuer.rotate(distrust)),
    undoIssuer: () => inTurn(steps.issuer.undo),
    pause: (paused) =>
      inTurn(async () => {
        if (state().paused === paused) return
        await change(paused ? 'paused' : 'resumed', activeOf(state()).id, { ...state(), paused })
      }),
    import: (chain, key, distrust) =>
      inTurn(async () => {
        const keyPem = seal.open(key)
        const proven = provenChain(chain, keyPem, trustDomain, nowMs())
        await steps.issuer.adopt({ ...proven, rootKey: offlineRef, issuerKey: seal.seal(keyPem) }, distrust)
      }),
    async signIssuer(csrDer) {
      const key = provenKey(csrDer, verifySignature)
      if ('wrong' in key) {
        throw new WritError('certificate_invalid', key.wrong, { cure: 'make the request by: writ ca csr' })
      }
      const { root, rootKey } = activeOf(state())
      const signer = await openRootKey(rootKey, keys, seal)
      return [await writeIssuer(making, readSigner(root, trustDomain), signer, key.spki), root]
    },
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
function stepsOf(held: Held, making: Making) {
  const { state, change } = held
  const { keys, nowMs } = making
  const refuseMore = (): void => {
    const prepared = preparedOf(state())
    if (prepared) {
      throw new WritError('in_use', `the authority ${prepared.id} is prepared already`, {
        cure: 'let it sign by: writ ca activate, or take it back by: writ ca undo',
      })
    }
    if (state().list.length >= maxAuthorities) {
      throw new WritError('in_use', `${state().list.length} authorities are in the bundle`, {
        cure: 'wait until retired ones are withdrawn',
      })
    }
  }
  return {
    issuer: issuerStepsOf(held, making, refuseMore),
    async prepare(): Promise<AuthorityChange> {
      refuseMore()
      const made = await makeAuthority(making, state().sequence + 1)
      if (state().list.some(({ id }) => id === made.id)) {
        throw new WritError('in_use', `the authority above still has the root ${made.id}, which is in the bundle`, {
          cure: 'give it a new root first; a new issuer under this one comes by: writ ca rotate --issuer',
        })
      }
      return change('prepared', made.id, prepare(state(), made))
    },
    activate: (id: string): Promise<AuthorityChange> => change('activated', id, activate(state(), id, nowMs())),
    async withdraw(id: string): Promise<AuthorityChange> {
      const gone = state().list.find((one) => one.id === id)!
      const told = await change('withdrawn', id, withdraw(state(), id))
      await keys.destroy(gone.rootKey)
      return told
    },
    /** Leaves that live longer than those before keep their root in the bundle for longer: said before the first. */
    async lengthen(): Promise<void> {
      const active = activeOf(state())
      if (active.longestMs >= making.maxLeafMs) return
      await change('lengthened', active.id, replaced(state(), { ...active, longestMs: making.maxLeafMs }))
    },
  }
}

/** What may be told: everything but keys. */
function factsOf(held: HeldAuthority): WithFormer {
  const { rootKey: _root, issuerKey: _issuer, tokenKey: _token, issuer: _certificate, ...facts } = held
  const former = held.former.map(({ issuerKey: _, issuer: _der, intermediates: _between, ...one }): FormerIssuer => one)
  return { ...facts, former }
}
