/** Prometheus' text format, version 0.0.4: families of samples, and histograms with fixed buckets. */

/** One sample: its labels as they stand between the braces, and its value. */
export type Sample = readonly [labels: string, value: number]

export type Kind = 'counter' | 'gauge'

export function family(name: string, kind: Kind, help: string, samples: readonly Sample[]): string {
  if (samples.length === 0) return ''
  return `${header(name, kind, help)}${samples.map(([labels, value]) => sample(name, labels, value)).join('')}`
}

export function histograms(
  name: string,
  help: string,
  series: readonly (readonly [labels: string, of: Histogram])[],
): string {
  if (series.length === 0) return ''
  const parts = [header(name, 'histogram', help)]
  for (const [labels, { counts, sum }] of series) {
    const before = labels === '' ? '' : `${labels},`
    let total = 0
    for (let i = 0; i < ends.length; i++) {
      total += counts[i]!
      parts.push(sample(`${name}_bucket`, `${before}le="${ends[i]}"`, total))
    }
    total += counts[ends.length]!
    parts.push(sample(`${name}_bucket`, `${before}le="+Inf"`, total))
    parts.push(sample(`${name}_sum`, labels, sum), sample(`${name}_count`, labels, total))
  }
  return parts.join('')
}

/** Labels between the braces, in the order given. */
export const labelsOf = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',')

const escaped = (value: string): string =>
  value.toWellFormed().replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')

const header = (name: string, kind: Kind | 'histogram', help: string): string =>
  `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n`

const sample = (name: string, labels: string, value: number): string =>
  labels === '' ? `${name} ${numberText(value)}\n` : `${name}{${labels}} ${numberText(value)}\n`

const numberText = (value: number): string =>
  value === Number.POSITIVE_INFINITY ? '+Inf' : value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value)

/** Upper ends of the buckets, as Envoy and Istio have them for milliseconds and for bytes alike. */
const ends: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
]

export interface Histogram {
  /** By bucket, each for itself; the last is all that is larger. */
  readonly counts: Float64Array
  sum: number
}

export const makeHistogram = (): Histogram => ({ counts: new Float64Array(ends.length + 1), sum: 0 })

export function observe(histogram: Histogram, value: number): void {
  let i = 0
  while (i < ends.length && value > ends[i]!) i++
  histogram.counts[i]!++
  histogram.sum += value
}

export function addTo(histogram: Histogram, other: Histogram): void {
  for (let i = 0; i <= ends.length; i++) histogram.counts[i]! += other.counts[i]!
  histogram.sum += other.sum
}

/** A quantile, linear within its bucket as PromQL's histogram_quantile has it; undefined where nothing was observed. */
export function quantile({ counts }: Histogram, q: number): number | undefined {
  const total = counts.reduce((sum, count) => sum + count, 0)
  if (total === 0) return undefined
  const rank = q * total
  let below = 0
  for (let i = 0; i < ends.length; i++) {
    const count = counts[i]!
    if (count > 0 && below + count >= rank) {
      const from = i === 0 ? 0 : ends[i - 1]!
      return from + (ends[i]! - from) * ((rank - below) / count)
    }
    below += count
  }
  return ends.at(-1)
}
