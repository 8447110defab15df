/**
 * Sockets that whoever started this process has opened for it, as systemd passes them (sd_listen_fds(3)): so a proxy without
 * privileges serves a port, or a transparent socket, that only a privileged one could open.
 */

import { WritError } from '../../core/fault.ts'

/** Takes the socket of a listener, `workload/listener`; each is there once. Undefined where none is. */
export type TakeInherited = (listener: string) => number | undefined

export interface Inherited {
  readonly take: TakeInherited
  /** Names that nobody has taken. */
  left(): readonly string[]
}

/** The first descriptor that is passed on. */
export const firstInherited = 3
const most = 64

/**
 * Of `LISTEN_FDS`, `LISTEN_FDNAMES` and `LISTEN_PID`; undefined where there are none, or they are another process's. Throws
 * `config_invalid` for those that cannot be told apart.
 */
export function readInherited(env: NodeJS.ProcessEnv, pid: number): Inherited | undefined {
  const { LISTEN_FDS: count, LISTEN_FDNAMES: names, LISTEN_PID: of } = env
  if (count === undefined || (of !== undefined && of !== String(pid))) return undefined
  const wrong = (text: string): WritError =>
    new WritError('config_invalid', `of the sockets that were passed on ${text}`, {
      cure: 'name each by its listener, as in LISTEN_FDNAMES=web/out or FileDescriptorName=web/out',
    })
  if (!/^\d{1,3}$/.test(count) || Number(count) > most) throw wrong(`LISTEN_FDS is no number up to ${most}`)
  const listed = names === undefined || names === '' ? [] : names.split(':')
  if (listed.length !== Number(count)) throw wrong(`there are ${count}, and ${listed.length} names`)
  if (new Set(listed).size !== listed.length) throw wrong('two have one name')
  const waiting = new Map(listed.map((name, at) => [name, firstInherited + at]))
  return {
    take(listener) {
      const fd = waiting.get(listener)
      waiting.delete(listener)
      return fd
    },
    left: () => [...waiting.keys()],
  }
}
