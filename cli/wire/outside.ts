/** Who outside vouches for the log, as the mesh file names them: witnesses that cosign its checkpoints. */

import { join } from 'node:path'
import { parseCosignerKey } from '../../audit/log/cosignature.ts'
import { parseVerifierKey } from '../../audit/log/note.ts'
import { formatQuorum } from '../../audit/log/policy.ts'
import { policyFile } from '../../audit/log/prove.ts'
import { makeFolder, writeWhole } from '../../audit/node/durable.ts'
import { openTimestamps, type Timestamps } from '../../audit/node/timestamps.ts'
import { openWitnesses, type Witnesses, type WitnessPlace } from '../../audit/node/witnesses.ts'
import type { OutsideSettings } from '../../control/mesh/outside.ts'
import { WritError } from '../../core/fault.ts'
import type { NowNs } from '../../core/ports.ts'
import { random, sha256 } from './machine.ts'
import type { OnEvent } from './telemetry.ts'

export interface OutsideOptions {
  readonly logDir: string
  readonly verifierKey: string
  readonly outside?: OutsideSettings
  readonly now: NowNs
  readonly onEvent: OnEvent
}

export interface Outside {
  readonly witnesses?: Witnesses
  readonly timestamps?: Timestamps
}

export async function openOutside(options: OutsideOptions): Promise<Outside> {
  const { outside } = options
  if (!outside) return {}
  return {
    ...(outside.witnesses.length > 0 && { witnesses: await askWitnesses(outside, options) }),
    ...(outside.timestamps && { timestamps: askAuthority(outside.timestamps, options) }),
  }
}

async function askWitnesses(outside: OutsideSettings, { logDir, verifierKey, now, onEvent }: OutsideOptions) {
  const places = outside.witnesses.map(({ url, key }): WitnessPlace => {
    const parsed = parseCosignerKey(sha256, key)
    if (parsed) return { url, key: parsed }
    throw new WritError('config_invalid', `${key} is no key of a witness`, {
      cure: 'a verifier key for Ed25519 cosignatures has type 4, and its id fits: copy it from the witness',
    })
  })
  await makeFolder(logDir)
  const log = parseVerifierKey(sha256, verifierKey)!
  await writeWhole(join(logDir, policyFile), formatQuorum(log, places, outside.witnessQuorum))
  return openWitnesses({
    witnesses: places,
    quorum: outside.witnessQuorum,
    sha256,
    nowMs: () => Number(now() / 1_000_000n),
    onEvent: (event) => {
      if (event.kind === 'witnessed') return
      onEvent({ level: 'warn', from: 'witness', text: `shard ${event.shard}: ${event.witness}: ${event.why}` })
    },
  })
}

const askAuthority = (
  { url, everyMs }: NonNullable<OutsideSettings['timestamps']>,
  { logDir, now, onEvent }: OutsideOptions,
): Timestamps =>
  openTimestamps({
    ...{ url, everyMs, logDir, sha256, random },
    nowMs: () => Number(now() / 1_000_000n),
    onEvent: (event) => {
      if (event.kind === 'stamped') return
      onEvent({ level: 'warn', from: 'timestamps', text: `shard ${event.shard}: ${event.why}` })
    },
  })
