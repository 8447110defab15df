/** The ways to choose among a service's endpoints. None of them knows of ejection: who is able is told. */

import type { Balance } from '../../core/traffic.ts'
import { costOf } from './ewma.ts'
import { makeMaglev } from './maglev.ts'
import type { Member } from './member.ts'
import { makeRing } from './ring.ts'

/** `able` has one member at least, in the order of all members. */
export type Choose = (able: readonly Member[], nowMs: number, key: string | undefined) => Member

/** `members`: all of them, for ways that hash. `fraction`: a number from 0 up to 1. */
export function chooserOf(type: Balance['type'], members: readonly Member[], fraction: () => number): Choose {
  const any = (able: readonly Member[]): Member => able[Math.floor(fraction() * able.length)]!
  switch (type) {
    case 'random':
      return any
    case 'round-robin': {
      let next = Math.floor(fraction() * members.length) // Proxies that start together do not march together.
      return (able) => able[next++ % able.length]!
    }
    case 'peak-ewma':
      return (able, nowMs) => ofTwo(able, fraction, (member) => costOf(member.latency, member.inFlight, nowMs))
    case 'least-request':
      return (able) => ofTwo(able, fraction, ({ inFlight }) => inFlight)
    case 'ring-hash':
    case 'maglev': {
      const lookup = (type === 'maglev' ? makeMaglev : makeRing)(members.map(({ key }) => key))
      return (able, _, key) => {
        if (key === undefined) return any(able)
        const all = able.length === members.length
        const index = lookup(key, (at) => all || able.includes(members[at]!))
        return index === undefined ? any(able) : members[index]!
      }
    }
  }
}

/** Of two that chance names the one that costs less. */
function ofTwo(able: readonly Member[], fraction: () => number, cost: (member: Member) => number): Member {
  if (able.length === 1) return able[0]!
  const first = Math.floor(fraction() * able.length)
  const step = 1 + Math.floor(fraction() * (able.length - 1))
  const [a, b] = [able[first]!, able[(first + step) % able.length]!]
  return cost(b) < cost(a) ? b : a
}
