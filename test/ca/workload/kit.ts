/** A Workload API on a socket of its own, over an authority, and the program that asks it with go-spiffe. */

import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { Authority } from '../../../ca/node/authority.ts'
import { openWorkloadDoor, type WorkloadDoor } from '../../../ca/node/workload/door.ts'
import type { TrustBundle } from '../../../core/identity.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import type { HeldSvid, WorkloadIdentities } from '../../../core/workload.ts'
import { run } from '../../parts/child.ts'
import { buildGoSource } from '../../parts/go-source.ts'
import { newSvid, orders, tempFolder } from '../world.ts'

export const buildWorkload = (go: string): Promise<string> =>
  buildGoSource(go, join(import.meta.dirname, 'go'), 'workload')

export const removeWorkload = (program: string): Promise<void> => rm(dirname(program), { recursive: true, force: true })

/** What go-spiffe made of it, a line each. */
export const ask = async (program: string, command: string, ...args: readonly string[]): Promise<readonly string[]> =>
  (await run(program, [command, ...args])).trim().split('\n')

export interface Held extends WorkloadIdentities {
  /** A fresh certificate for each of them. */
  rotate(): void
  give(ids: readonly SpiffeId[]): void
  trust(...bundles: readonly TrustBundle[]): void
  /** Who is subscribed now. */
  watchers(): number
}

/** Identities of this authority that change when they are told to. */
export function hold(authority: Authority, first: readonly SpiffeId[] = [orders]): Held {
  let foreign: readonly TrustBundle[] = []
  const issue = (id: SpiffeId, i: number): HeldSvid => ({
    svid: newSvid(authority, id),
    hint: i === 0 ? '' : `hint-${i}`,
    federatesWith: foreign.map(({ trustDomain }) => trustDomain),
  })
  let svids = first.map(issue)
  const watchers = new Set<() => void>()
  const change = (ids: readonly SpiffeId[]): void => {
    svids = ids.map(issue)
    for (const changed of [...watchers]) changed()
  }
  return {
    current: () => ({
      svids,
      bundles: new Map([authority.bundle(), ...foreign].map((bundle) => [bundle.trustDomain, bundle])),
    }),
    subscribe(changed) {
      watchers.add(changed)
      return () => watchers.delete(changed)
    },
    mintJwt: (id, audience) => authority.mintJwt({ id, audience }),
    rotate: () => change(svids.map(({ svid }) => svid.id)),
    give: change,
    trust(...bundles) {
      foreign = bundles
      change(svids.map(({ svid }) => svid.id))
    },
    watchers: () => watchers.size,
  }
}

export async function serveWorkload(identities: WorkloadIdentities): Promise<WorkloadDoor & { readonly url: string }> {
  const door = await openWorkloadDoor({
    path: join(tempFolder(), 'api.sock'),
    mode: 0o600,
    attest: async () => identities,
    nowMs: Date.now,
    unexpected: (thrown) => {
      throw thrown
    },
  })
  onTestFinished(door.close)
  return { ...door, url: `unix://${door.path}` }
}
