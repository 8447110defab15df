/** `interruptions` and `transport`: when recording stopped or could not go on, and what TLS it ran with. */

import type { Json } from '../../../../core/json.ts'
import { isAuditor } from '../../../verify/records.ts'
import { Count, type DrawKey } from '../count.ts'
import { memberAt, textAt } from '../view.ts'
import type { Ending, Fact, Seen } from './fact.ts'

interface Run {
  readonly producer: string
  readonly firstMs: number
  lastMs: number
  final: boolean
  /** A later run told how this one ended. */
  told: boolean
  readonly key: DrawKey
  readonly at: Seen['at']
}

const maxRuns = 200_000

export function interruptionsFact(): Fact {
  const runs = new Map<string, Run>()
  const [explained, unexplained, starts, stops] = [new Count(), new Count(10), new Count(), new Count()]
  const spoolLost = new Map<string, { readonly key: DrawKey; readonly at: Seen['at']; readonly producer: string }>()
  let suppressed = 0
  let whole = true
  return {
    take({ view: { event, atMs }, inside, key, at }) {
      const body = event as unknown as Json
      const run = runs.get(event.epoch)
      if (run) run.lastMs = Math.max(run.lastMs, atMs)
      if (event.kind === 'start') {
        if (runs.size >= maxRuns) whole = false
        else
          runs.set(event.epoch, {
            producer: event.producer,
            firstMs: atMs,
            lastMs: atMs,
            final: false,
            told: false,
            key,
            at,
          })
        const before = runs.get(textAt(body, 'previous', 'epoch') ?? '')
        if (before) before.told = true
        if (inside) starts.add(key, at, event.producer)
      }
      if (event.kind === 'head' && memberAt(body, 'final') === true && run) {
        run.final = true
        if (inside) stops.add(key, at, event.producer)
      }
      if (event.kind === 'spool_lost') {
        const epoch = textAt(body, 'of', 'epoch') ?? ''
        const producer = textAt(body, 'of', 'producer') ?? ''
        if (textAt(body, 'action') === 'opened') spoolLost.set(epoch, { key, at, producer })
        else spoolLost.delete(epoch)
      }
      if (event.kind === 'suppressed' && inside) {
        suppressed++
        ;(textAt(body, 'why') ? explained : unexplained).add(key, at, event.producer)
      }
    },
    finish: ({ fromMs, toMs, parameters }: Ending) => {
      const silentMs = (parameters['silentMinutes'] ?? 0) * 60_000
      const [told, untold] = [explained.copy(), unexplained.copy()]
      for (const run of runs.values()) {
        const ended = run.lastMs >= fromMs && toMs - run.lastMs > silentMs
        if (!ended || run.final || isAuditor(run.producer)) continue
        ;(run.told ? told : untold).add(run.key, run.at, run.producer)
      }
      for (const { key, at, producer } of spoolLost.values()) untold.add(key, at, producer)
      return {
        values: {
          ...{ starts: starts.count, stops: stops.count, interruptions: told.count + untold.count },
          ...{ explained: told.count, unexplained: untold.count, suppressed, whole },
        },
        tallies: {
          unexplained: untold.finish(),
          explained: told.finish(),
          starts: starts.finish(),
        },
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
  const runs = new Map<
    string,
    { decided: boolean; readonly tls: Json | undefined; readonly seen: Seen; readonly who: string }
  >()
  let unknown = 0
  return {
    take(seen) {
      const { event } = seen.view
      if (event.kind === 'start' && runs.size < maxRuns) {
        const tls = memberAt(event as unknown as Json, 'tls')
        runs.set(event.epoch, { decided: false, tls, seen: { ...seen }, who: event.producer })
      }
      if (event.kind !== 'decision' || !seen.inside) return
      const run = runs.get(event.epoch)
      if (run) run.decided = true
      else unknown++
    },
    finish: () => {
      const [weak, strong] = [new Count(10), new Count()]
      let only13 = 0
      let silent = unknown > 0 ? 1 : 0
      for (const { decided, tls, seen, who } of runs.values()) {
        if (!decided) continue
        const min = textAt(tls, 'min')
        const ciphers = memberAt(tls, 'ciphers')
        if (min === undefined || !Array.isArray(ciphers)) {
          silent++
          continue
        }
        const good = approvedVersions.includes(min) && ciphers.every((one) => approvedCiphers.includes(String(one)))
        if (good && min === 'TLSv1.3') only13++
        ;(good ? strong : weak).add(seen.key, seen.at, who)
      }
      return {
        values: { weak: weak.count, strong: strong.count, only13, silent },
        tallies: { weak: weak.finish(), strong: strong.finish() },
      }
    },
  }
}
