/** Requests with personal fields, recorded by a real recorder over a real auditor. */

import type { Auditor } from '../../../audit/node/auditor.ts'
import { embeddedStream } from '../../../audit/node/embedded.ts'
import { openRecorder } from '../../../audit/node/recorder.ts'
import type { Vault } from '../../../audit/node/vault.ts'
import type { Decision } from '../../../core/decision.ts'
import type { RequestFacts } from '../../../core/facts.ts'
import type { PolicyUse } from '../../../core/policy.ts'
import type { RecordSink } from '../../../core/ports.ts'
import type { RecordId } from '../../../core/record.ts'
import { decisionBody, keep } from '../../../proxy/flow/record.ts'
import { folder, id, identity, recorderOptions, settings } from './spool-kit.ts'

export const facts: RequestFacts = {
  direction: 'inbound',
  workload: id('orders'),
  listener: 'orders/in',
  source: {
    identified: {
      ok: true,
      identity: {
        id: id('web'),
        trustDomain: 'bank.example' as never,
        proof: 'x509',
        serial: '01',
        notBeforeMs: 0,
        notAfterMs: 1,
      },
    },
    address: '10.9.8.7',
    port: 4,
  },
  destination: { service: 'orders', address: '127.0.0.1', port: 80 },
  head: {
    ...{ method: 'GET', authority: 'orders', path: '/patients/4711', query: 'key=secret-token' },
    ...{ headers: { 'x-user': 'ann@bank.example', 'x-kind': 'visit' }, protocol: 'HTTP/1.1', scheme: 'https' },
  },
  requestId: 'r-1',
  traceId: '',
  atNs: 1_800_000_000_000_000_000n,
}
export const use: PolicyUse = {
  ...{ bundle: 'bank', entrypoint: 'a/b', recordHeaders: ['x-kind'], recordQuery: false },
  personal: ['header x-user', 'path', 'query', 'source address'],
  subject: 'header x-user',
}
export const allowed: Decision = {
  ...{ verdict: 'allow', code: 'allowed', reasons: [] },
  from: { by: 'policy', policy: { bundle: 'bank', revision: '1', sha256: 'aa' } },
}

/** Runs a producer over the auditor; all that was written is in the log at the end. */
export async function recordedBy<T>(
  auditor: Auditor,
  work: (sink: RecordSink, dir: string) => Promise<T>,
  vault?: Vault,
  name = 'orders',
): Promise<T> {
  const dir = folder()
  const stream = embeddedStream(auditor.ingest, async () => BigInt((await auditor.nextOffset(0)) ?? '0'))
  const recorder = await openRecorder(recorderOptions({ dir, stream, settings: settings(), ...(vault && { vault }) }))
  const sink = await recorder.producer({ id: id(name), ...identity(name) })
  const result = await work(sink, dir)
  await recorder.close({ timeoutMs: 5000 })
  await stream.close()
  return result
}

export const decided = (sink: RecordSink, of: RequestFacts = facts): Promise<RecordId> =>
  keep(sink, decisionBody(of, undefined, allowed, use)) as Promise<RecordId>

/** The same request of somebody else. */
export const factsOf = (user: string): RequestFacts => ({
  ...facts,
  head: { ...facts.head!, headers: { 'x-user': user } },
})
