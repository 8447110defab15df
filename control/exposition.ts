/** Numbers of a door in Prometheus' text format: how many requests, how long they took, and what was evaluated. */

/** Upper ends in seconds, as OPA has them. */
const buckets = [1e-6, 5e-6, 1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 0.01, 0.1, 1]

/** Series that are kept apart; further ones are one, `other`. Labels come from fixed lists, so that they stay few. */
const maxSeries = 512

interface Series {
  readonly labels: string
  readonly counts: number[]
  sum: number
  count: number
}

export interface Exposition {
  request(labels: { readonly code: number; readonly handler: string; readonly method: string }, seconds: number): void
  /** `outcome` is `defined`, `undefined`, `no_entrypoint`, or a fault's code. */
  evaluation(bundle: string, outcome: string): void
  text(): string
}

export function makeExposition(): Exposition {
  const requests = new Map<string, Series>()
  const evaluations = new Map<string, number>()
  return {
    request({ code, handler, method }, seconds) {
      const wanted = `code="${code}",handler="${handler}",method="${methods.has(method) ? method.toLowerCase() : 'other'}"`
      const labels = requests.has(wanted) || requests.size < maxSeries ? wanted : 'code="other"'
      const series = requests.get(labels) ?? { labels, counts: buckets.map(() => 0), sum: 0, count: 0 }
      requests.set(labels, series)
      for (const [i, end] of buckets.entries()) if (seconds <= end) series.counts[i]!++
      series.sum += seconds
      series.count++
    },
    evaluation(bundle, outcome) {
      const wanted = `bundle="${escaped(bundle)}",outcome="${outcome}"`
      const labels = evaluations.has(wanted) || evaluations.size < maxSeries ? wanted : 'outcome="other"'
      evaluations.set(labels, (evaluations.get(labels) ?? 0) + 1)
    },
    text() {
      const lines = [
        '# HELP http_request_duration_seconds A histogram of duration for requests.',
        '# TYPE http_request_duration_seconds histogram',
      ]
      for (const { labels, counts, sum, count } of requests.values()) {
        for (const [i, end] of buckets.entries()) {
          lines.push(`http_request_duration_seconds_bucket{${labels},le="${end}"} ${counts[i]}`)
        }
        lines.push(`http_request_duration_seconds_bucket{${labels},le="+Inf"} ${count}`)
        lines.push(`http_request_duration_seconds_sum{${labels}} ${sum}`)
        lines.push(`http_request_duration_seconds_count{${labels}} ${count}`)
      }
      lines.push('# HELP writ_evaluations_total Evaluations of policies, by what came of them.')
      lines.push('# TYPE writ_evaluations_total counter')
      for (const [labels, count] of evaluations) lines.push(`writ_evaluations_total{${labels}} ${count}`)
      return `${lines.join('\n')}\n`
    },
  }
}

const methods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
