/** One sidecar of the soak as a process of its own: what `writ proxy` runs, but for where its records go. */

import { getServers } from 'node:dns'
import { request } from 'node:http'
import { join } from 'node:path'
import { joinLines } from '../../audit/node/embedded.ts'
import { joinAs } from '../../cli/wire/join.ts'
import { openClock } from '../../cli/wire/machine.ts'
import { meshClient } from '../../cli/wire/mesh-client.ts'
import { controlId } from '../../cli/wire/names.ts'
import { openSidecar } from '../../cli/wire/sidecar.ts'
import { openSpool } from '../../cli/wire/stream.ts'
import { openTokens } from '../../cli/wire/tokens.ts'
import { WritError } from '../../core/fault.ts'
import type { Stream } from '../../core/ports.ts'
import type { TrustDomain } from '../../core/spiffe.ts'
import { openCertificates } from '../../proxy/node/certificates.ts'
import { readInherited } from '../../proxy/node/inherited.ts'
import { answering } from './child.ts'
import { weigh } from './memory.ts'

export type SidecarAsk = { readonly do: 'memory' } | { readonly do: 'connections' } | { readonly do: 'close' }

const [url, trustDomain, token, dir, socket, dns] = process.argv.slice(2) as [
  ...[string, TrustDomain, string, string, string],
  string?,
]
const now = openClock()
const nowMs = (): number => Number(now() / 1_000_000n)
const onEvent = ({
  level,
  from,
  text,
}: {
  readonly level: string
  readonly from: string
  readonly text: string
}): void => {
  if (level !== 'info') process.stderr.write(`${new Date().toISOString()} ${level} ${from}: ${text}\n`)
}

const stream: Stream = {
  partitions: async () => 1,
  close: async () => undefined,
  publish: ({ records, ...batch }) =>
    new Promise((resolve, reject) => {
      const headers = { 'x-batch': JSON.stringify(batch) }
      const fail = (): void => reject(new WritError('stream_unavailable', 'the hub did not take the records'))
      request({ socketPath: socket, method: 'POST', headers }, (answer) => {
        answer.resume().on('end', () => (answer.statusCode === 204 ? resolve() : fail()))
      })
        .on('error', fail)
        .end(joinLines(records))
    }),
}

const expect = controlId(trustDomain)
const source = await joinAs({ dir: join(dir, 'identity'), url, expect, token: async () => token, nowMs, onEvent })
const client = meshClient({ url, expect, source, nowMs })
let logKey = ''
const sidecar = await openSidecar({
  ...{ dir, source, client, now, onEvent, reusePort: false },
  inherited: readInherited(process.env, process.pid)?.take,
  ...(dns !== undefined && { dns: { address: '127.0.0.1', port: Number(dns), upstreams: [upstream()] } }),
  onSnapshot: (snapshot) => {
    logKey = snapshot.logKey
  },
  recorder: (snapshot) =>
    openSpool({
      ...{ dir: join(dir, 'spool'), snapshot, stream, findReceipt: client.findReceipt, now, onEvent },
      logKey: () => logKey,
    }),
  authenticate: openTokens(onEvent),
  certificates: openCertificates({ dir: join(dir, 'secrets'), onEvent }),
})

function upstream() {
  return { address: getServers()[0]!, port: 53 }
}

answering(undefined, async (ask: SidecarAsk) => {
  if (ask.do === 'memory') return weigh()
  if (ask.do === 'connections') return Math.max(...sidecar.proxy.stats().listeners.map((one) => one.connections))
  return sidecar.close(5000)
})
