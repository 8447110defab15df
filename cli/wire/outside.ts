/** Who outside vouches for the log, as the mesh file names them: witnesses that cosign its checkpoints. */

import { join } from 'node:path'
import { parseCosignerKey } from '../../audit/log/cosignature.ts'
import { parseVerifierKey } from '../../audit/log/note.ts'
import { formatQuorum } from '../../audit/log/policy.ts'
import { makeFolder, writeWhole } from '../../audit/node/durable.ts'
import { openWitnesses, type Witnesses, type WitnessingEvent, type WitnessPlace } from '../../audit/node/witnesses.ts'
import type { OutsideSettings } from '../../control/mesh/outside.ts'
import { WritError } from '../../core/fault.ts'
import type { NowNs } from '../../core/ports.ts'
import { sha256 } from './machine.ts'
import type { OnEvent } from './telemetry.ts'

export interface OutsideOptions {
  readonly logDir: string
  readonly verifierKey: string
  readonly outside?: OutsideSettings
  readonly now: NowNs
  readonly onEvent: OnEvent
}

/** File of the log's folder with its own witness policy (C2SP tlog-policy). Whoever verifies takes it from elsewhere. */
export const policyFile = 'witness.policy'

export interface Outside {
  readonly witnesses?: Witnesses
}

export async function openOutside(options: OutsideOptions): Promise<Outside> {
  const { outside, now, onEvent } = options
  if (!outside || outside.witnesses.length === 0) return {}
  const places = outside.witnesses.map(({ url, key }): WitnessPlace => {
    const parsed = parseCosignerKey(sha256, key)
    if (parsed) return { url, key: parsed }
    throw new WritError('config_invalid', `${key} is no key of a witness`, {
      cure: 'a verifier key for Ed25519 cosignatures has type 4, and its id fits: copy it from the witness',
    })
  })
  await makeFolder(options.logDir)
  const log = parseVerifierKey(sha256, options.verifierKey)!
  await writeWhole(join(options.logDir, policyFile), formatQuorum(log, places, outside.witnessQuorum))
  const witnesses = openWitnesses({
    witnesses: places,
    quorum: outside.witnessQuorum,
    sha256,
    nowMs: () => Number(now() / 1_000_000n),
    onEvent: (event) => tell(event, onEvent),
  })
  return { witnesses }
}

function tell(event: WitnessingEvent, onEvent: OnEvent): void {
  if (event.kind === 'witnessed') return
  onEvent({ level: 'warn', from: 'witness', text: `shard ${event.shard}: ${event.witness}: ${event.why}` })
}
