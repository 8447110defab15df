/** What a soak must have come to, and its table. */

import { type Sample, slope } from './memory.ts'
import { mb, type SoakOptions, type SoakResult, type Weighed } from './soak.ts'

/** Samples that count: caches fill and code is compiled in the first part. */
const settled = (samples: readonly Sample[]): readonly Sample[] => samples.slice(Math.floor(samples.length * 0.4))

/**
 * Growth a minute that is taken for none, as parts of the mean. Of resident memory more is: the allocator keeps pages, and
 * takes them by steps of megabytes.
 */
const flat = { heap: 0.01, resident: 0.02 }

export function judge(result: SoakResult): readonly string[] {
  const { tally, counts, probes } = result
  const wrong = [...tally.unexplained, ...result.wrong, ...counts.broken]
  if (counts.faults > 0) wrong.push(`${counts.faults} faults in the log`)
  const [allowed, denied] = [tally.allowed + probes.allowed, tally.denied + probes.denied]
  if (counts.allowed !== allowed) wrong.push(`the log has ${counts.allowed} allowed, ${allowed} were asked`)
  if (counts.denied !== denied) wrong.push(`the log has ${counts.denied} denied, ${denied} were asked`)
  for (const [whose, samples] of entries(result)) {
    for (const [name, of, most] of weights) {
      const grown = growth(samples, of)
      const tellable = settled(samples).length >= 20
      if (tellable && grown > most)
        wrong.push(`${name} of ${names[whose]} grows ${(grown * 100).toFixed(1)} % a minute`)
    }
  }
  return wrong
}

const names: Readonly<Record<Weighed, string>> = {
  ...{ caller: "the caller's sidecar", callee: "the callee's sidecar", hub: 'control, log and store' },
}
const entries = ({ samples }: SoakResult) => Object.entries(samples) as [Weighed, readonly Sample[]][]

const weights: readonly (readonly [name: string, of: (sample: Sample) => number, flat: number])[] = [
  ['heap after collection', ({ heap }) => heap, flat.heap],
  ['resident memory', ({ resident }) => resident, flat.resident],
]

/** Growth a minute as a part of the mean. */
function growth(samples: readonly Sample[], of: (sample: Sample) => number): number {
  const counted = settled(samples)
  const mean = counted.reduce((sum, sample) => sum + of(sample), 0) / counted.length
  return slope(counted, of) / mean
}

export function table(options: SoakOptions, result: SoakResult): string {
  const { tally, counts } = result
  const policyMs = result.policyMs.toSorted((a, b) => a - b)
  const times = tally.times.toSorted((a, b) => a - b)
  const at = (part: number): string => `${times[Math.floor(times.length * part)] ?? 0} ms`
  const rows: [string, string][] = [
    ['time', `${options.seconds} s`],
    ['connections of clients', `${options.clients}, at most ${result.connections} open at once`],
    ['requests', `${tally.asked}, ${Math.round(tally.asked / options.seconds)} a second`],
    ['served as asked', `${tally.served}; p50 ${at(0.5)}, p99 ${at(0.99)}, the longest ${times.at(-1) ?? 0} ms`],
    ['denied by policy', String(tally.refused)],
    ['failed while the application was down', String(tally.explained)],
    ['failed for no reason that is known', String(tally.unexplained.length)],
    [
      'policies put in force',
      `${policyMs.length}, ${result.wrong.length} never; within ${policyMs[policyMs.length >> 1]} ms at the median, ${policyMs.at(-1)} ms at most`,
    ],
    ['deaths of the application', String(result.outages)],
    ['life of a certificate', '60 s'],
    ['inbound decisions in the log', `${counts.allowed} allowed, ${counts.denied} denied, ${counts.faults} faults`],
    ['broken in the log', String(counts.broken.length)],
    ...entries(result).flatMap(([whose, samples]) =>
      weights.map(([name, of]): [string, string] => {
        const counted = settled(samples)
        const range = counted.length === 0 ? '-' : `${mb(of(counted[0]!))} to ${mb(of(counted.at(-1)!))}`
        return [`${name} of ${names[whose]}`, `${range}, ${(growth(samples, of) * 100).toFixed(2)} % a minute`]
      }),
    ),
  ]
  return ['| | |', '|---|---|', ...rows.map(([name, value]) => `| ${name} | ${value} |`)].join('\n')
}
