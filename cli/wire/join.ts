/** How a process of the mesh gets its own identity: it joins once with a token, and renews by mTLS from then on. */

import { joinMesh, type Reach, recoverSvid, renewSvid } from '../../ca/node/client.ts'
import type { IdentityEvent, LiveIdentity } from '../../ca/node/rotate.ts'
import { type IdentitySourceOptions, openIdentitySource } from '../../ca/node/source.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { random } from './machine.ts'
import type { OnEvent } from './telemetry.ts'

export interface JoinOptions {
  /** Folder of the key and certificate; mode 0700. */
  readonly dir: string
  /** Control's mesh door. */
  readonly url: string
  /** Control's own name. */
  readonly expect: SpiffeId
  /** Asked only where there is no SVID that still holds. */
  readonly token: () => Promise<string>
  /** The name that must come of it, where it is known beforehand. */
  readonly id?: SpiffeId
  readonly nowMs: () => number
  readonly onEvent: OnEvent
}

export async function joinAs(options: JoinOptions): Promise<LiveIdentity> {
  const { dir, url, expect, id, nowMs, onEvent } = options
  return openIdentitySource({
    dir,
    ...(id === undefined ? {} : { id }),
    obtain: {
      ...renewing({ url, expect, nowMs }),
      join: async (recovery) => joinMesh({ url, token: await options.token(), expect, nowMs, recovery }),
    },
    nowMs,
    random,
    onEvent: tellTo(onEvent),
  })
}

/** How a process that has come once has its next certificate, before the last one is over and after. */
export const renewing = (reach: Reach): Pick<IdentitySourceOptions['obtain'], 'renew' | 'recover'> => ({
  renew: (state, recovery) => renewSvid({ ...reach, state, recovery }),
  recover: (last, recovery) => recoverSvid({ ...reach, last, recovery }),
})

/** A failure is told once, until it is another one or is over: the tries that follow it are many. */
export function tellTo(onEvent: OnEvent): (event: IdentityEvent) => void {
  let told = ''
  return (event) => {
    if (event.kind !== 'failed') {
      told = ''
      return onEvent({ level: 'info', from: 'identity', text: `${event.kind} ${event.svid.id} ${event.svid.serial}` })
    }
    const { message } = event.fault
    if (told !== message) onEvent({ level: 'warn', from: 'identity', text: `${message}; tries again until it can` })
    told = message
  }
}
