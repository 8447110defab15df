/** A witness's door (C2SP tlog-witness): checkpoints come in, cosignatures go out, and the last one is there to read. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { maxRequestBytes } from '../../audit/log/witness.ts'
import type { Witness } from '../../audit/node/witness.ts'
import {
  closeServer,
  type DoorApp,
  type DoorLimits,
  doorApp,
  listen,
  readBody,
  serverTimes,
  type Unexpected,
} from './http.ts'

export interface WitnessDoor {
  readonly url: string
  close(): Promise<void>
}

/** Plain HTTP: what passes here is signed, and secret to nobody. In front of strangers belongs a server that speaks TLS. */
export async function openWitnessDoor(
  witness: Pick<Witness, 'add' | 'latest'>,
  where: { readonly address: string; readonly port: number },
  unexpected: Unexpected,
  limits: DoorLimits = {},
): Promise<WitnessDoor> {
  const app = witnessRoutes(witness, unexpected)
  const server = createServer(serverTimes(limits), getRequestListener(app.fetch, { overrideGlobalObjects: false }))
  server.maxConnections = limits.connections ?? 256
  await listen(server, where)
  const { address, port } = server.address() as AddressInfo
  return {
    url: `http://${address.includes(':') ? `[${address}]` : address}:${port}`,
    close: () => closeServer(server),
  }
}

const reasons = {
  400: 'not a request to add a checkpoint',
  403: 'no signature that holds by a key that this witness trusts for the origin',
  404: 'the origin is not known here',
  422: 'the checkpoint is not shown to extend the last one',
} as const

export function witnessRoutes(witness: Pick<Witness, 'add' | 'latest'>, unexpected: Unexpected): DoorApp {
  const app = doorApp(unexpected)

  app.post('/add-checkpoint', async (c) => {
    const answer = await witness.add(await readBody(c.req.raw, maxRequestBytes))
    if (answer.status === 200) return c.text(answer.lines)
    if (answer.status === 409) return c.body(`${answer.size}\n`, 409, { 'content-type': 'text/x.tlog.size' })
    return c.text(`${reasons[answer.status]}\n`, answer.status)
  })

  app.get('/:origin/checkpoint', (c) => {
    const note = witness.latest(c.req.param('origin'))
    return note === undefined
      ? c.text('nothing cosigned of such a log\n', 404)
      : c.text(note, 200, { 'cache-control': 'no-store' })
  })

  return app
}
