/** A service as its callers reach it: which endpoint is asked, and who hears what became of it. */

import type { RequestHead } from '../../core/facts.ts'
import type { Sealing } from '../../core/policy.ts'
import type { Endpoint, Route, Service } from '../../core/snapshot.ts'
import type { KeyPlace, RetryRules, ServiceTraffic } from '../../core/traffic.ts'
import type { Balancer } from '../balance/balancer.ts'
import type { Circuit } from '../balance/breaker.ts'
import type { Budget } from '../balance/budget.ts'
import { type Member, saidOf } from '../balance/member.ts'
import { keyAt } from '../limit/key.ts'
import type { Ended, RetryPlan, Withheld } from './attempts.ts'
import { sessionOf } from './session.ts'
import type { Version } from './versions.ts'

/** What is known of services over many requests, and outlives a snapshot. Default nothing is. */
export interface Watch {
  /** Chooses among several endpoints. Default one after the other. */
  readonly balance?: (service: Service) => Balancer
  /** Asked once for each service that has a breaker. */
  readonly circuit?: (service: Service) => Circuit | undefined
  /** Asked once for each service whose requests may be tried again. */
  readonly budget?: (service: Service, rules: RetryRules) => Budget
  /** Requests in flight to a service. Asked once for each that may have so many. */
  readonly load?: (service: Service) => Load
  /** Compares backends on trial. Default nobody does, and they keep their weights. */
  readonly version?: (route: Route) => Version | undefined
  /** Where those are that call. Default nobody knows. */
  readonly locality?: string | undefined
}

export interface Load {
  inFlight: number
}

export interface Place {
  readonly endpoint: Endpoint
  /** Whether CONNECT opens a tunnel there. Default not. */
  readonly connect?: true
  /** What our records of it hold as digests. Default nothing. */
  readonly sealing?: Sealing
  /** Says that a request goes there, or why it does not. Undefined where nobody counts. */
  readonly begin?: () => Ended | Withheld
}

export interface Reach {
  readonly name: string
  readonly traffic: ServiceTraffic | undefined
  /** Undefined where there is no endpoint. `head`: none of a connection. `caller`: by whom an endpoint may be chosen. */
  pick(head: RequestHead | undefined, caller: string | undefined): Place | undefined
  /** The endpoint that a request was sent to before, by `sessionOf`; undefined where that is not to be asked now. */
  again(session: string): Place | undefined
  /** How requests are tried again by these rules. */
  retry(rules: RetryRules): RetryPlan | undefined
}

/** `fraction`: a number from 0 up to 1. */
export function reachOf(
  service: Service,
  fraction: () => number,
  { balance, circuit: circuitOf, budget, load: loadOf, locality }: Watch,
): Reach {
  const next = rotation(service)
  const balancer = balance && service.endpoints.length > 1 ? balance(service) : undefined
  const circuit = circuitOf?.(service)
  const hashOn = hashOnOf(service)
  const { connect, sealing } = service
  const more = (connect || sealing) && { ...(connect && { connect }), ...(sealing && { sealing }) }
  const most = service.traffic?.connections?.requests
  const load = most === undefined ? undefined : loadOf?.(service)

  function place(member: Member | undefined): Place | undefined {
    const endpoint = balancer ? member?.endpoint : next()
    if (!endpoint) return undefined
    const there = more ? { endpoint, ...more } : { endpoint }
    if (!member && !circuit && !load) return there
    const counted = member && (() => balancer!.begin(member))
    const passed = circuit ? () => guarded(circuit, counted) : counted
    return { ...there, begin: load ? () => within(load, most!, passed) : passed! }
  }

  return {
    name: service.name,
    traffic: service.traffic,
    pick: (head, caller) => place(balancer?.pick(hashOn && head && keyAt(hashOn, head, caller), undefined, locality)),
    again(session) {
      const endpoint = service.endpoints.find((one) => sessionOf(service.name, one) === session)
      if (!endpoint) return undefined
      const member = balancer?.at(endpoint)
      return balancer && !member ? undefined : place(member)
    },
    retry(rules) {
      if (!budget || rules.attempts === 0) return undefined
      return {
        rules,
        fraction,
        budget: budget(service, rules),
        elsewhere(tried) {
          const there = place(balancer?.pick(undefined, tried, locality))
          if (!there?.begin) return there
          const ended = there.begin()
          return typeof ended === 'string' ? undefined : { endpoint: there.endpoint, ended }
        },
      }
    },
  }
}

type Begin = () => Ended | Withheld

/** Passes where the circuit lets it, and tells it and the balancer how the request ended. */
function guarded(circuit: Circuit, begin: Begin | undefined): Ended | Withheld {
  const over = circuit.admit()
  if (!over) return 'circuit_open'
  const ended = begin?.()
  if (typeof ended === 'string') {
    over(undefined)
    return ended
  }
  return (outcome) => {
    over(saidOf(outcome))
    ended?.(outcome)
  }
}

/** Passes while there is room. */
function within(load: Load, most: number, begin: Begin | undefined): Ended | Withheld {
  if (load.inFlight >= most) return 'upstream_overflow'
  const ended = begin?.()
  if (typeof ended === 'string') return ended
  load.inFlight++
  return (outcome) => {
    load.inFlight--
    ended?.(outcome)
  }
}

const hashOnOf = ({ traffic }: Service): KeyPlace | undefined =>
  traffic?.balance && 'hashOn' in traffic.balance ? traffic.balance.hashOn : undefined

/** The service's endpoints one after the other. */
export function rotation({ endpoints }: Pick<Service, 'endpoints'>): () => Endpoint | undefined {
  let next = 0
  return () => {
    const endpoint = endpoints[next]
    next = next + 1 < endpoints.length ? next + 1 : 0
    return endpoint
  }
}
