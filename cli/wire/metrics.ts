/** All numbers of a sidecar in Prometheus' text format: Istio's names for traffic, and ours for what Istio does not have. */

import { performance } from 'node:perf_hooks'
import type { RecorderStatus } from '../../audit/node/recorder.ts'
import { lifetimesOf } from '../../ca/lifetimes.ts'
import type { IdentityState } from '../../core/identity.ts'
import type { ProxyStats } from '../../proxy/node/proxy.ts'
import type { AccessLog } from '../../proxy/telemetry/access-log.ts'
import { family, type Kind, labelsOf, type Sample } from '../../proxy/telemetry/exposition.ts'
import { istioText } from '../../proxy/telemetry/istio.ts'
import type { Taps } from '../../proxy/telemetry/tap.ts'
import type { RetryCount, Traffic } from '../../proxy/telemetry/traffic.ts'
import { software } from '../version.ts'
import { type Alarm, alarmsText, lifetimesText, renewalsText } from './alarms.ts'

export interface Numbers {
  readonly traffic: Traffic
  readonly cluster: string
  readonly snapshot: string | undefined
  readonly state: IdentityState
  readonly stats: ProxyStats | undefined
  readonly recorder: RecorderStatus | undefined
  readonly alarms: readonly Alarm[]
  readonly renewalsFailed: number
  readonly accessLog: AccessLog | undefined
  readonly taps: Taps
  readonly spans: { readonly exported: number; readonly failed: number } | undefined
  readonly ready: boolean
}

export function metricsText(numbers: Numbers, nowMs: number): string {
  const { traffic, cluster } = numbers
  return [istioText(traffic, cluster), decisionsOf(traffic), spoolOf(numbers), identityOf(numbers), doorsOf(numbers)]
    .concat(lifetimesText(lifetimesOf(numbers.state), nowMs))
    .concat(renewalsOf(numbers, nowMs))
    .concat(upstreamsOf(numbers))
    .concat(processOf(numbers))
    .join('')
}

const one = (name: string, kind: Kind, help: string, value: number | undefined): string =>
  value === undefined ? '' : family(name, kind, help, [['', value]])

function decisionsOf(traffic: Traffic): string {
  const samples = [...traffic.decisions()].map(
    ({ direction, verdict, code, count }): Sample => [labelsOf({ direction, verdict, code }), count],
  )
  const byService = (counts: Iterable<RetryCount>): Sample[] =>
    [...counts].map(({ service, code, count }) => [labelsOf({ service, code }), count])
  return (
    family('writ_decisions_total', 'counter', 'Decisions by verdict and code.', samples) +
    family('writ_retries_total', 'counter', 'Attempts that were followed by another.', byService(traffic.retries())) +
    family(
      'writ_retries_stopped_total',
      'counter',
      'Requests that were not tried again, by why.',
      byService(traffic.retriesStopped()),
    ) +
    one(
      'writ_metrics_overflow_total',
      'counter',
      'Requests whose series had no room and are counted as other.',
      traffic.overflowed(),
    )
  )
}

function spoolOf({ recorder }: Numbers): string {
  if (!recorder) return ''
  return [
    one('writ_spool_bytes', 'gauge', 'Bytes of records that no checkpoint is known to cover.', recorder.bytes),
    one('writ_spool_max_bytes', 'gauge', 'Bytes at which records are refused.', recorder.maxBytes),
    one('writ_spool_unsynced_bytes', 'gauge', 'Bytes written and not yet synced.', recorder.unsynced),
    one('writ_spool_oldest_seconds', 'gauge', 'Age of the oldest of them.', recorder.oldestMs / 1000),
    one('writ_spool_waiting_records', 'gauge', 'Records that the stream has not taken yet.', recorder.pending),
    one('writ_spool_refused_total', 'counter', 'Records that could not be kept.', recorder.refused),
    one('writ_spool_lost_total', 'counter', 'Outcomes and counted refusals that could not be kept.', recorder.lost),
    one('writ_stream_published_total', 'counter', 'Records that the stream took.', recorder.published),
    one('writ_stream_failures_total', 'counter', 'Attempts that the stream did not take.', recorder.failures),
  ].join('')
}

function identityOf({ state, snapshot }: Numbers): string {
  const { svid, generation, denied } = state
  const id = labelsOf({ id: svid.id })
  return [
    family('writ_certificate_expiry_timestamp_seconds', 'gauge', 'When the certificate is over.', [
      [id, svid.notAfterMs / 1000],
    ]),
    one('writ_identity_generation', 'gauge', 'Grows with each change of certificate, roots or deny list.', generation),
    one('writ_denied_identities', 'gauge', 'Ids and serials on the deny list.', denied.size),
    snapshot === undefined
      ? ''
      : family('writ_snapshot_info', 'gauge', 'The snapshot in force.', [[labelsOf({ name: snapshot }), 1]]),
  ].join('')
}

function renewalsOf({ state, alarms, renewalsFailed: failures }: Numbers, nowMs: number): string {
  const { id, notAfterMs } = state.svid
  return renewalsText([{ id, notAfterMs, failures }], nowMs) + alarmsText(alarms)
}

function doorsOf({ stats, accessLog, taps, spans }: Numbers): string {
  const listeners = stats?.listeners ?? []
  const each = (name: string, kind: Kind, help: string, of: (listener: (typeof listeners)[number]) => number): string =>
    family(
      name,
      kind,
      help,
      listeners.map((listener) => [labelsOf({ listener: listener.name }), of(listener)]),
    )
  return [
    each('writ_connections', 'gauge', 'Open connections of callers.', ({ connections }) => connections),
    each('writ_listener_requests_total', 'counter', 'Requests that are over.', ({ requests }) => requests),
    each('writ_handshakes_failed_total', 'counter', 'Handshakes that failed.', (one) => one.handshakesFailed),
    each('writ_connections_dropped_total', 'counter', 'Connections that were one too many.', ({ dropped }) => dropped),
    family(
      'writ_sources_refused_total',
      'counter',
      'Connections of sources that may not have them, by code.',
      listeners.flatMap(({ name, sourcesRefused }) =>
        Object.entries(sourcesRefused).map(([code, count]): Sample => [labelsOf({ listener: name, code }), count]),
      ),
    ),
    one('writ_upstream_connections', 'gauge', 'Open connections to upstreams.', stats?.upstreamConnections),
    one('writ_mirrors_left_out_total', 'counter', 'Copies of requests beyond the bound.', stats?.mirrors.leftOut),
    one('writ_access_log_lines_total', 'counter', 'Lines written.', accessLog?.written()),
    one('writ_access_log_dropped_total', 'counter', 'Lines without room.', accessLog?.dropped()),
    one('writ_tap_missed_total', 'counter', 'Requests that a tap could not show.', taps.missed()),
    one('writ_spans_exported_total', 'counter', 'Spans that the receiver took.', spans?.exported),
    one('writ_spans_failed_total', 'counter', 'Spans that the receiver did not take.', spans?.failed),
  ].join('')
}

/** Of services with several endpoints, by where those are; and of services with a breaker. */
function upstreamsOf({ stats }: Numbers): string {
  const [asked, counts] = [new Map<string, number>(), new Map<string, number>()]
  const add = (to: Map<string, number>, labels: string, value: number): void =>
    void to.set(labels, (to.get(labels) ?? 0) + value)
  for (const [service, endpoints] of Object.entries(stats?.balanced ?? {})) {
    for (const { locality, ejected, asked: times } of endpoints) {
      add(asked, labelsOf({ service, locality }), times)
      for (const state of ['able', 'ejected'])
        add(counts, labelsOf({ service, locality, state }), Number((state === 'ejected') === ejected))
    }
  }
  const circuits = Object.entries(stats?.circuits ?? {}).flatMap(([service, now]) =>
    ['closed', 'open', 'half-open'].map((state): Sample => [labelsOf({ service, state }), Number(state === now)]),
  )
  return [
    family('writ_endpoint_requests_total', 'counter', 'Requests by where the endpoint that was asked is.', [...asked]),
    family('writ_endpoints', 'gauge', 'Endpoints by where they are, and whether they are asked.', [...counts]),
    family('writ_circuit', 'gauge', '1 for the state that the circuit of a service is in.', circuits),
  ].join('')
}

/** How busy the one thread that requests share has been since the last look. */
let lookedAt = performance.eventLoopUtilization()

function processOf({ ready }: Numbers): string {
  const now = performance.eventLoopUtilization()
  const { utilization } = performance.eventLoopUtilization(now, lookedAt)
  lookedAt = now
  const { user, system } = process.cpuUsage()
  return [
    one('writ_ready', 'gauge', 'Whether it takes requests.', ready ? 1 : 0),
    one(
      'writ_saturation_ratio',
      'gauge',
      'Share of the time since the last look that the event loop was busy.',
      utilization,
    ),
    one('process_cpu_seconds_total', 'counter', 'CPU time.', (user + system) / 1e6),
    one('process_resident_memory_bytes', 'gauge', 'Resident memory.', process.memoryUsage.rss()),
    one('process_start_time_seconds', 'gauge', 'When the process began.', Date.now() / 1000 - process.uptime()),
    family('writ_build_info', 'gauge', 'The program.', [[labelsOf({ software, node: process.version }), 1]]),
  ].join('')
}
