/** Spans out of a process: OpenTelemetry's SDK behind the API that proxies know, as the snapshot says. */

import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import type { TracingSettings } from '../../core/snapshot.ts'
import type { Telemetry } from '../../proxy/telemetry/served.ts'
import { makeTrace } from '../../proxy/telemetry/spans.ts'
import { software } from '../version.ts'

export interface Tracing {
  readonly trace: Telemetry['trace']
  /** Spans that the receiver took, and those that it did not. */
  counts(): { readonly exported: number; readonly failed: number }
  /** Sends what waits, within five seconds. */
  close(): Promise<void>
}

/** Spans that may wait for their receiver; further ones are dropped by the SDK. */
const maxQueueSize = 2048
const exportTimeoutMillis = 5000

export function openTracing({ otlp, sample, propagate }: TracingSettings, service: string, cluster: string): Tracing {
  let exported = 0
  let failed = 0
  const exporter = new OTLPTraceExporter({ url: otlp, timeoutMillis: exportTimeoutMillis })
  const counted: SpanExporter = {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        if (result.code === 0) exported += spans.length
        else failed += spans.length
        done({ code: result.code }) // Its error would be printed by the SDK; it is a number here.
      }),
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush(),
  }
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': service, 'service.version': software, 'writ.cluster': cluster }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(sample) }),
    spanProcessors: [
      new BatchSpanProcessor({ exporter: counted, maxQueueSize, exportTimeoutMillis, scheduledDelayMillis: 1000 }),
    ],
  })
  return {
    trace: makeTrace(provider.getTracer('writ'), propagate),
    counts: () => ({ exported, failed }),
    close: () => provider.shutdown().catch(() => {}),
  }
}
