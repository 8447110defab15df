/** The signer's door: a process of its own holds the key of the log, and signs over a Unix socket what extends the last. */

import { z } from 'zod'
import { formatCheckpoint, parseCheckpoint } from '../../audit/log/checkpoint.ts'
import { fromBase64 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { CheckpointSigner } from '../../core/ports.ts'
import { type DoorApp, doorApp, readJson, type Unexpected } from './http.ts'

/** Three lines, and a proof of at most 63 hashes. */
const maxBodyBytes = 8 * 1024

const lastShape = z.strictObject({ origin: z.string().min(1).max(1024) })
const signShape = z.strictObject({ checkpoint: z.string().max(2048), proof: z.array(z.string().max(44)).max(63) })

export function signerRoutes(signer: CheckpointSigner, unexpected: Unexpected): DoorApp {
  const app = doorApp(unexpected)

  app.get('/v1/key', (c) => c.json({ verifierKey: signer.verifierKey }))

  app.post('/v1/last', async (c) => {
    const last = await signer.last((await readJson(c.req.raw, maxBodyBytes, lastShape)).origin)
    return c.json({ checkpoint: last ? formatCheckpoint(last) : null })
  })

  app.post('/v1/sign', async (c) => {
    const asked = await readJson(c.req.raw, maxBodyBytes, signShape)
    const checkpoint = parseCheckpoint(asked.checkpoint)
    const proof = asked.proof.map(fromBase64)
    if (!checkpoint || proof.includes(undefined)) throw new WritError('usage', 'no checkpoint, or no proof')
    return c.json({ note: (await signer.sign(checkpoint, proof as Uint8Array[])).note })
  })

  return app
}
