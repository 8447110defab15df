/** The Unix socket of a host: the SPIFFE Workload API and Envoy's secret discovery behind it. */

import { chmodSync, lstatSync, mkdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { messageOf, WritError } from '../../../core/fault.ts'
import { workloadService } from '../../workload/messages.ts'
import { type Attest, requireHeader, workloadMethods } from './api.ts'
import { makeGrpcServer } from './grpc.ts'
import { sdsMethods } from './sds.ts'

export interface WorkloadDoorOptions {
  /** Absolute. Its folder is made if missing, for all to enter. */
  readonly path: string
  /** 0600: for programs of our own user. 0666: for all, where `attest` tells them apart. */
  readonly mode: 0o600 | 0o666
  readonly attest: Attest
  readonly nowMs: () => number
  readonly unexpected: (thrown: unknown) => void
  /** Told of secrets that an Envoy refused. */
  readonly onRefused?: (detail: string) => void
}

export interface WorkloadDoor {
  readonly path: string
  close(): Promise<void>
}

/** Throws a WritError `in_use` where somebody listens there, or where the path is no socket. */
export async function openWorkloadDoor(options: WorkloadDoorOptions): Promise<WorkloadDoor> {
  const { path, mode, attest, nowMs, unexpected } = options
  mkdirSync(dirname(path), { recursive: true, mode: mode === 0o600 ? 0o700 : 0o755 })
  await removeStale(path)
  const { server, close } = makeGrpcServer({
    methods: new Map([...workloadMethods(attest, nowMs), ...sdsMethods(attest, options.onRefused)]),
    // Envoy does not send the header; what its service answers is the same to whoever may open the socket.
    admit: (call, service) => service !== workloadService || requireHeader(call),
    unexpected,
  })
  const before = process.umask(0o177) // From its first moment the socket is for nobody else.
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) =>
        reject(
          new WritError('unavailable', `cannot listen on ${path}: ${messageOf(cause)}`, {
            cure: 'name a path of at most 100 characters in a folder that this user may write',
            cause,
          }),
        ),
      )
      server.listen(path, resolve)
    })
  } finally {
    process.umask(before)
  }
  chmodSync(path, mode)
  return { path, close }
}

/** A socket file outlives a crash; one that nobody answers is removed. */
async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (!found) return
  const inUse = (why: string, cure: string) => new WritError('in_use', `${path} ${why}`, { cure })
  if (!found.isSocket()) throw inUse('is not a socket', 'remove the file')
  const answered = await new Promise<boolean>((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
  if (answered) throw inUse('is served by another process', 'stop it, or name another path')
  rmSync(path)
}
