/** A worker process of workers.test.ts: an outbound listener whose request ids begin with its process id. */

import type { Svid } from '../../../core/identity.ts'
import type { MeshSnapshot } from '../../../core/snapshot.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { openProxy } from '../../../proxy/node/proxy.ts'
import { onOrphaned } from '../../../proxy/node/workers.ts'

const id = 'spiffe://bank.example/web' as SpiffeId
const svid: Svid = { id, chain: [], keyPem: '', serial: '', notBeforeMs: 0, notAfterMs: 1 }
const bind = { kind: 'tcp', address: '127.0.0.1', port: Number(process.argv[2]) } as const
const workloads = [{ name: 'web', id, listeners: [{ direction: 'outbound', name: 'out', bind }] }]

const proxy = await openProxy({
  snapshot: { workloads, services: [], routes: [] } as unknown as MeshSnapshot,
  workloads: ['web'],
  source: () => ({
    current: () => ({ generation: 1, svid, bundles: new Map(), denied: new Set() }),
    subscribe: () => () => {},
  }),
  identify: () => (peer) =>
    peer.evidence.kind === 'declared'
      ? { ok: true, identity: peer.evidence.identity }
      : { ok: false, code: 'identity_missing', detail: '' },
  decide: () => {
    throw new Error('outbound asks no policy')
  },
  sink: () => ({ keep: () => ({ producer: id, epoch: 'a', seq: 1 }) as never, outcome() {}, refused() {} }),
  now: () => BigInt(Date.now()) * 1_000_000n,
  random: (length) => {
    const bytes = new Uint8Array(length)
    for (let i = 0; i + 4 <= length; i += 4) new DataView(bytes.buffer).setUint32(i, process.pid)
    return bytes
  },
  reusePort: true,
})
const stop = (): void => void proxy.drain(1000).then(() => process.exit(0))
process.once('SIGTERM', stop)
onOrphaned(stop)
