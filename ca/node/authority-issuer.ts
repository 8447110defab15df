/** The steps of an authority's issuers: a new one signs, the former is kept, refused or forgotten. */

import { equalBytes } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { type Authorities, activeOf, prepare, preparedOf } from '../authorities.ts'
import { type IssuerStep, maxFormer } from '../issuers.ts'
import type { AuthorityChange, Held } from './authority-held.ts'
import { heldOf, type Making, nextSigners, type Signers } from './authority-make.ts'
import { isWorn, readSigner } from './authority-sign.ts'
import type { HeldAuthority, HeldFormer } from './authority-state.ts'
import { provenChain } from './upstream.ts'

/** Shortest and longest wait before whoever signs issuers is asked again; between them a sixtieth of what is left. */
const minAskMs = 10_000
const maxAskMs = 3_600_000

/** Each makes what it needs and changes the state by it. */
export interface IssuerSteps {
  /** An issuer under a root that is in the bundle takes the former one's place; any other root comes in first. */
  adopt(made: Signers, distrust?: boolean): Promise<AuthorityChange>
  /** By order. Under an authority above that has another root by now, that one comes in first, as any root does. */
  rotate(distrust: boolean): Promise<void>
  /**
   * A new issuer where the last one is worn. Whoever signs it is not asked again at once where that did not help; what
   * went wrong is thrown each time until it did. While all is paused it waits for as long as leaves are not cut short.
   */
  renew(): Promise<AuthorityChange | undefined>
  /** What went wrong when a new one was asked for last; undefined where none is needed. */
  renewalFault(): unknown
  /** The issuer that signed last signs again, and the one that does is a former one. */
  undo(): Promise<void>
  take(step: IssuerStep): Promise<AuthorityChange>
}

/** `refuseMore` throws where no further root may come in. */
export function issuerStepsOf({ state, signing, change }: Held, making: Making, refuseMore: () => void): IssuerSteps {
  const { nowMs, trustDomain } = making
  let askAgainMs = 0
  let failed: unknown

  /** The issuer of `made` in the place of the one that `known` has, whose key goes where it may be in other hands. */
  function succeeded(known: HeldAuthority, made: Signers, distrust: boolean): HeldAuthority {
    const { issuer, intermediates, issuerKey } = known
    const { serial, notAfterMs } = readSigner(issuer, trustDomain)
    const at = nowMs()
    const former: HeldFormer = {
      ...{ serial, notAfterMs, issuer, intermediates, retiredAtMs: at },
      ...(distrust ? { distrustedAtMs: at } : { issuerKey }),
    }
    return { ...known, ...made, rootKey: known.rootKey, former: [...known.former, former] }
  }

  async function adopt(made: Signers, distrust = false): Promise<AuthorityChange> {
    // What its key signs is judged as every peer will judge it, wherever the root's signature came from.
    const chain = [made.issuer, ...made.intermediates, made.root]
    provenChain(chain, making.seal.open(made.issuerKey), trustDomain, nowMs())
    const known = state().list.find(({ root }) => equalBytes(root, made.root))
    if (known) {
      const { serial } = readSigner(distrust ? known.issuer : made.issuer, trustDomain)
      const next = replaced(state(), succeeded(known, made, distrust))
      return change(distrust ? 'issuer_distrusted' : 'issuer_made', known.id, next, serial)
    }
    refuseMore()
    const next = heldOf(making, made, state().sequence + 1)
    return change('prepared', next.id, prepare(state(), next))
  }

  const refuseFormer = (): void => {
    const { former } = activeOf(state())
    if (former.length < maxFormer) return
    throw new WritError('in_use', `certificates of ${former.length} former issuers are still in use`, {
      cure: 'wait until some are forgotten: writ ca status',
    })
  }

  const withFormer = (id: string, serial: string, turn: (one: HeldFormer) => readonly HeldFormer[]) => {
    const one = state().list.find((candidate) => candidate.id === id)!
    const former = one.former.flatMap((held) => (held.serial === serial ? turn(held) : [held]))
    return replaced(state(), { ...one, former })
  }

  return {
    adopt,
    async rotate(distrust) {
      refuseFormer()
      const told = await adopt(await nextSigners(making, activeOf(state())), distrust)
      if (!distrust || told.action !== 'prepared') return
      throw new WritError('in_use', `the authority above has another root by now, ${told.id}: that is prepared`, {
        cure: 'let it sign by: writ ca activate; then order again what this was to do',
      })
    },
    async renew() {
      const { issuer } = signing()
      const left = issuer.notAfterMs - nowMs()
      const waits = state().paused && left > 2 * activeOf(state()).longestMs
      if (!isWorn(issuer, nowMs()) || waits || (making.upstream && preparedOf(state()))) {
        failed = undefined
        return undefined
      }
      if (nowMs() >= askAgainMs) {
        askAgainMs = nowMs() + Math.min(maxAskMs, Math.max(minAskMs, left / 60))
        failed = undefined
        try {
          const made = await nextSigners(making, activeOf(state()))
          if (readSigner(made.issuer, trustDomain).notAfterMs > issuer.notAfterMs) return await adopt(made)
        } catch (thrown) {
          failed = thrown
        }
      }
      if (failed) throw failed
      return undefined
    },
    renewalFault: () => failed,
    async undo() {
      const active = activeOf(state())
      const last = active.former.at(-1)
      const key = last?.issuerKey
      if (!last || key === undefined || last.notAfterMs <= nowMs()) {
        const why = last && key === undefined ? `the issuer ${last.serial} is distrusted` : 'no former issuer can sign'
        throw new WritError('not_found', `there is nothing to take back: ${why}`, { cure: 'look at: writ ca status' })
      }
      const { issuer, intermediates } = last
      const made = { root: active.root, rootKey: active.rootKey, issuer, intermediates, issuerKey: key }
      const next = succeeded({ ...active, former: active.former.slice(0, -1) }, made, false)
      await change('issuer_undone', active.id, replaced(state(), next), last.serial)
    },
    take({ step, id, serial }) {
      if (step === 'forget')
        return change(
          'issuer_forgotten',
          id,
          withFormer(id, serial, () => []),
          serial,
        )
      const denied = withFormer(id, serial, (one) => [{ ...one, deniedAtMs: nowMs() }])
      return change('issuer_denied', id, denied, serial)
    },
  }
}

export const replaced = (state: Authorities<HeldAuthority>, by: HeldAuthority): Authorities<HeldAuthority> => ({
  ...state,
  list: state.list.map((one) => (one.id === by.id ? by : one)),
})
