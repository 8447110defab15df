/** `interruptions` and `transport`: when recording stopped or could not go on, and what TLS it ran with. */

import type { Json } from '../../../../core/json.ts'
import { isAuditor } from '../../../verify/records.ts'
import { Dict, firstOf, Listed, lastOf, names, type Place, Sums } from '../held.ts'
import { memberAt, textAt } from '../view.ts'
import { type Ending, type Fact, maxFew } from './fact.ts'

export function interruptionsFact(): Fact {
  type Start = { readonly producer: string; readonly at: Place }
  const started = new Dict<Start>(firstOf, maxFew)
  /** Runs that a later one told the end of, and those that ended on purpose. */
  const [told, final] = [names(maxFew), names(maxFew)]
  const last = new Dict<number>(Math.max, maxFew)
  const lost = new Dict<Start & { readonly opened: boolean }>(lastOf, maxFew)
  const [explained, unexplained, starts, stops] = [new Listed(), new Listed(10), new Listed(), new Listed()]
  const sums = new Sums(['suppressed'])
  return {
    always: { started, told, final, last, lost },
    inside: { explained, unexplained, starts, stops, sums },
    reads: [],
    take({ view: { event }, inside, at }) {
      const body = event as unknown as Json
      const { epoch, producer } = event
      if (event.kind === 'start') {
        started.add(epoch, { producer, at: { ...at } })
        const before = textAt(body, 'previous', 'epoch')
        if (before) told.add(before, 1)
        if (inside) starts.add(at, producer)
      }
      if (event.kind === 'head' && memberAt(body, 'final') === true) {
        final.add(epoch, 1)
        if (inside) stops.add(at, producer)
      }
      if (event.kind === 'spool_lost') {
        const of = { producer: textAt(body, 'of', 'producer') ?? '', at: { ...at } }
        lost.add(textAt(body, 'of', 'epoch') ?? '', { ...of, opened: textAt(body, 'action') === 'opened' })
      }
      if (event.kind === 'suppressed' && inside) {
        sums.of.suppressed++
        ;(textAt(body, 'why') ? explained : unexplained).add(at, producer)
      }
    },
    run: ({ epoch, lastMs }) => last.add(epoch, lastMs),
    finish: ({ fromMs, toMs, parameters }: Ending) => {
      const silentMs = (parameters['silentMinutes'] ?? 0) * 60_000
      const [known, unknown] = [explained.copy(), unexplained.copy()]
      for (const [epoch, { producer, at }] of started.map) {
        const lastMs = last.map.get(epoch) ?? 0
        const ended = lastMs >= fromMs && toMs - lastMs > silentMs
        if (!ended || final.map.has(epoch) || isAuditor(producer)) continue
        ;(told.map.has(epoch) ? known : unknown).add(at, producer)
      }
      for (const { opened, at, producer } of lost.map.values()) if (opened) unknown.add(at, producer)
      const whole = [started, told, final, last, lost].every((one) => one.whole)
      return {
        values: {
          ...{ starts: starts.count, stops: stops.count, interruptions: known.count + unknown.count },
          ...{ explained: known.count, unexplained: unknown.count, suppressed: sums.of.suppressed, whole },
        },
        tallies: { unexplained: unknown.finish(), explained: known.finish(), starts: starts.finish() },
      }
    },
  }
}

const approvedVersions: readonly string[] = ['TLSv1.2', 'TLSv1.3']
/** TLS 1.3's own (RFC 8446 B.4, without CCM_8), and TLS 1.2's with forward secrecy and AEAD (RFC 9325 section 4.2). */
const approvedCiphers: readonly string[] = [
  ...['TLS_AES_256_GCM_SHA384', 'TLS_AES_128_GCM_SHA256', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_CCM_SHA256'],
  ...['ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305'],
  ...['ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-RSA-CHACHA20-POLY1305'],
]

/** Runs of those that decide, which recorded in the time, by what their start says of TLS. */
export function transportFact(): Fact {
  const runs = new Dict<{ readonly tls: Json; readonly who: string; readonly at: Place }>(firstOf, maxFew)
  const decided = names(maxFew)
  return {
    always: { runs },
    inside: { decided },
    reads: [],
    take({ view: { event }, at }) {
      if (event.kind !== 'start') return
      const tls = memberAt(event as unknown as Json, 'tls') ?? null
      runs.add(event.epoch, { tls, who: event.producer, at: { ...at } })
    },
    run(run) {
      if (run.decided) decided.add(run.epoch, 1)
    },
    finish: () => {
      const [weak, strong] = [new Listed(10), new Listed()]
      let only13 = 0
      let silent = [...decided.map.keys()].every((epoch) => runs.map.has(epoch)) && decided.whole ? 0 : 1
      for (const [epoch, { tls, who, at }] of runs.map) {
        if (!decided.map.has(epoch)) continue
        const min = textAt(tls, 'min')
        const ciphers = memberAt(tls, 'ciphers')
        if (min === undefined || !Array.isArray(ciphers)) {
          silent++
          continue
        }
        const good = approvedVersions.includes(min) && ciphers.every((one) => approvedCiphers.includes(String(one)))
        if (good && min === 'TLSv1.3') only13++
        ;(good ? strong : weak).add(at, who)
      }
      return {
        values: { weak: weak.count, strong: strong.count, only13, silent },
        tallies: { weak: weak.finish(), strong: strong.finish() },
      }
    },
  }
}
