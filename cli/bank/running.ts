/** A running bank: its mesh, and its three programs beside their sidecars. */

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { WritError } from '../../core/fault.ts'
import type { MeshSnapshot } from '../../core/snapshot.ts'
import { root } from '../version.ts'
import type { OnEvent } from '../wire/telemetry.ts'
import { openUp, type Up } from '../wire/up.ts'
import { portNear, withFreePorts } from './ports.ts'
import { type Bank, openBank } from './services.ts'

export interface RunningBank {
  readonly up: Up
  readonly bank: Bank
  readonly meshFile: string
  close(): Promise<void>
}

/** On the ports of its mesh file where these are free; a run that nobody else is to reach takes `any`. */
export async function openBankMesh(
  state: string,
  onEvent: OnEvent,
  ports: 'usual' | 'any' = 'any',
  drillEveryMs?: number,
): Promise<RunningBank> {
  const usual = await readFile(join(root, 'deploy/bank/mesh.yaml'), 'utf8')
  const mesh = await withFreePorts(usual, ports)
  const policiesDir = join(root, 'policies')
  const meshFile = join(state, 'mesh.yaml')
  const up = await openUp({ mesh, meshFile, state, policiesDir, drillEveryMs, onEvent })
  try {
    await writeFile(meshFile, mesh) // Only now is the folder ours: another process may have held it.
    const snapshot = up.snapshot()
    const bank = await openBank({
      storefront: await portNear(7101, ports),
      orders: appPort(snapshot, 'orders'),
      ledger: appPort(snapshot, 'ledger'),
      storefrontOut: outPort(snapshot, 'storefront'),
      ordersOut: outPort(snapshot, 'orders'),
    })
    return {
      up,
      bank,
      meshFile,
      async close() {
        await bank.close()
        await up.close()
      },
    }
  } catch (thrown) {
    await up.close()
    throw thrown
  }
}

function appPort(snapshot: MeshSnapshot, name: string): number {
  for (const listener of snapshot.workloads.find((workload) => workload.name === name)?.listeners ?? []) {
    if (listener.direction === 'inbound') return listener.app.port
  }
  throw new WritError('internal', `the bank's mesh has no inbound listener for ${name}`)
}

function outPort(snapshot: MeshSnapshot, name: string): number {
  for (const listener of snapshot.workloads.find((workload) => workload.name === name)?.listeners ?? []) {
    if (listener.direction === 'outbound' && listener.bind.kind === 'tcp') return listener.bind.port
  }
  throw new WritError('internal', `the bank's mesh has no outbound port for ${name}`)
}
