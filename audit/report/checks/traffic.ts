/** Checks on what passed: M01 (mutual TLS), M02 (no identity, no entry), M04 (short-lived certificates), M06 (default deny). */

import { amount, type Check, check } from '../check.ts'
import type { Evidence } from '../evidence.ts'

/** Numbers of a log that does not verify prove nothing, so that a good one is no pass. */
const unsound = 'The numbers are good, but the log they come from does not verify (see M09).'

export function mutualTls(evidence: Evidence, sound: boolean): Check {
  const { mutualTls, token, refused, unproven } = evidence.inbound
  const total = mutualTls.count + token.count + unproven.count
  const others = total - mutualTls.count
  return check({
    id: 'M01',
    title: 'Requests arrive over mutual TLS',
    measures: 'Requests at inbound listeners whose caller was proven by a certificate in the TLS handshake.',
    numerator: { value: mutualTls.count, of: 'requests over mutual TLS' },
    denominator: { value: total, of: 'requests at inbound listeners' },
    threshold: '100 %',
    ...verdictOf({
      total,
      bad: others,
      sound,
      good: 'Every request came over mutual TLS.',
      failed: `${amount(others, 'request')} came without a proven client certificate.`,
      nothing: 'No request was recorded at an inbound listener.',
    }),
    exclusions: [
      `${amount(refused.count, 'request')} refused because the caller proved no identity`,
      `${amount(evidence.refusals.counted, 'refused handshake')} and other refusals before a request`,
      `${amount(evidence.outbound, 'decision')} at outbound listeners, on the workload’s own host`,
      `${amount(evidence.shadow, 'decision')} of shadow policies`,
      ...toldBy(evidence),
    ],
    sample: others > 0 ? [...unproven.sample, ...token.sample] : mutualTls.sample,
    notCovered: [
      'Traffic that no proxy saw.',
      'The hop between a proxy and its own workload.',
      'TLS versions and ciphers.',
    ],
  })
}

export function provenCallers(evidence: Evidence, sound: boolean): Check {
  const { proven, unproven } = evidence.allowed
  const total = proven.count + unproven.count
  return check({
    id: 'M02',
    title: 'Nobody enters without a verified identity',
    measures: 'Requests that were allowed at inbound listeners although the caller had proven no identity.',
    numerator: { value: unproven.count, of: 'allowed without a verified identity' },
    denominator: { value: total, of: 'allowed requests' },
    threshold: '0',
    ...verdictOf({
      total,
      bad: unproven.count,
      sound,
      good: 'Every request that was allowed came from a verified identity.',
      failed: `${amount(unproven.count, 'request was', 'requests were')} allowed without one.`,
      nothing: 'No request was allowed at an inbound listener.',
    }),
    exclusions: [
      `${amount(evidence.inbound.refused.count, 'request')} without identity that were refused`,
      `${amount(evidence.outbound, 'decision')} at outbound listeners, judged where the call arrives`,
      ...toldBy(evidence),
    ],
    sample: unproven.count > 0 ? unproven.sample : proven.sample,
    notCovered: ['Whether the identity was issued to the right workload.', 'Users behind a workload.'],
  })
}

export function certificateLife(evidence: Evidence, sound: boolean, maxLifeMs: number): Check {
  const { seen, tooLong, outsideLife, unreadable, late, longestMs } = evidence.certificates
  const bad = tooLong.count + outsideLife.count + unreadable.count
  const hours = maxLifeMs / 3_600_000
  const onlyTokens = seen.count === 0 && evidence.inbound.token.count > 0
  const settled = verdictOf({
    total: seen.count,
    bad,
    sound,
    good: `The longest-lived certificate in use lived ${hoursText(longestMs)}; none was used outside its validity.`,
    failed: [
      `${amount(tooLong.count, 'use')} of a certificate that lives longer than ${hours} h`,
      `${amount(outsideLife.count, 'request')} allowed outside a certificate’s validity`,
      `${amount(unreadable.count, 'record')} without readable validity.`,
    ].join(', '),
    nothing: 'No certificate was seen in use.',
  })
  return check({
    id: 'M04',
    title: 'Certificates are short-lived and valid when used',
    measures: `Uses of a certificate that lives longer than ${hours} h, or of one that was expired or not yet valid.`,
    numerator: { value: bad, of: 'uses outside the rule' },
    denominator: { value: seen.count, of: 'uses of a certificate' },
    threshold: `0; life at most ${hours} h`,
    ...(onlyTokens
      ? { verdict: 'not-applicable' as const, finding: 'All callers proved their names by tokens.' }
      : settled),
    exclusions: [
      `${amount(evidence.inbound.token.count, 'request')} proven by a token and no certificate`,
      `Not part of the verdict: ${amount(late.count, 'use')} after two thirds of a certificate’s life`,
    ],
    sample: bad > 0 ? [...tooLong.sample, ...outsideLife.sample, ...unreadable.sample] : seen.sample,
    notCovered: ['Certificates that were issued and never used.', 'How private keys are kept.'],
  })
}

export function defaultDeny(evidence: Evidence, sound: boolean): Check {
  const { byPolicy, faultPassed, byNone } = evidence.allowed
  const others = faultPassed.count + byNone.count
  const total = byPolicy.count + others
  return check({
    id: 'M06',
    title: 'What no policy allows is refused',
    measures: 'Requests that were allowed at inbound listeners without a policy that said yes.',
    numerator: { value: others, of: 'allowed without a policy’s yes' },
    denominator: { value: total, of: 'allowed requests' },
    threshold: '0',
    ...verdictOf({
      total,
      bad: others,
      sound,
      good: 'Every request that was allowed was allowed by a policy.',
      failed: [
        `${amount(faultPassed.count, 'request')} passed because a binding says onFault: pass and no policy could tell`,
        `${amount(byNone.count, 'request')} allowed by no policy.`,
      ].join(', '),
      nothing: 'No request was allowed at an inbound listener.',
    }),
    exclusions: [
      `${amount(evidence.outbound, 'decision')} at outbound listeners, judged where the call arrives`,
      `${amount(evidence.shadow, 'decision')} of shadow policies`,
      ...toldBy(evidence),
    ],
    sample: others > 0 ? [...faultPassed.sample, ...byNone.sample] : byPolicy.sample,
    notCovered: [
      'Whether the policies themselves deny by default.',
      'Listeners that nobody called: an unknown caller is not sent to try them.',
    ],
  })
}

/** Those stand for no request that a proxy saw, and nobody proved who asked. */
const toldBy = ({ told }: Evidence): readonly string[] =>
  told > 0 ? [`${amount(told, 'decision')} that OPA servers sent`] : []

interface Settling {
  readonly total: number
  readonly bad: number
  readonly sound: boolean
  readonly good: string
  readonly failed: string
  readonly nothing: string
}

function verdictOf({ total, bad, sound, good, failed, nothing }: Settling): Pick<Check, 'verdict' | 'finding'> {
  if (bad > 0) return { verdict: 'fail', finding: failed }
  if (total === 0) return { verdict: 'insufficient-data', finding: nothing }
  return sound ? { verdict: 'pass', finding: good } : { verdict: 'insufficient-data', finding: unsound }
}

const hoursText = (ms: number): string => `${Math.round(ms / 360_000) / 10} h`
