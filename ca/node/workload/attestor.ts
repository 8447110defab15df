/** From a connection to identities: the caller's credentials, once for each connection. */

import type { Socket } from 'node:net'
import { WritError } from '../../../core/fault.ts'
import type { WorkloadIdentities } from '../../../core/workload.ts'
import type { Agent } from './agent.ts'
import type { Attest } from './api.ts'
import { type DigestOf, descriptorOf, digests, proveUnix, type ReadCredentials } from './peer.ts'

/** What is said of a process is asked when its connection first asks for something, and holds as long as it is open. */
export function unixAttestor(agent: Agent, credentials: ReadCredentials, digestOf: DigestOf = digests()): Attest {
  const known = new WeakMap<Socket, Promise<WorkloadIdentities>>()
  return ({ socket }) => {
    const before = known.get(socket)
    if (before) return before
    const now = (async () => {
      try {
        const { selectors } = await proveUnix(credentials(descriptorOf(socket)), digestOf)
        return agent.identitiesOf(selectors)
      } catch (cause) {
        throw new WritError('unauthorized', 'the kernel does not say who calls', { cause })
      }
    })()
    known.set(socket, now)
    return now
  }
}
