/**
 * Opens listening sockets as a privileged user and hands them to a command of another one, in this process's place: nothing
 * of ours goes on with privileges. Linux only; what Node has no call for goes through koffi.
 */

import { statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { getSystemErrorName } from 'node:util'
import { messageOf, WritError } from '../../core/fault.ts'
import { firstInherited } from './inherited.ts'

export interface LaunchSocket {
  /** `workload/listener`. */
  readonly name: string
  /** IPv4. */
  readonly address: string
  readonly port: number
}

export interface LaunchOptions {
  readonly sockets: readonly LaunchSocket[]
  /** Whether they take connections that were sent elsewhere (`IP_TRANSPARENT`), as tproxy leads them. Needs CAP_NET_ADMIN. */
  readonly transparent: boolean
  readonly uid: number
  readonly gid: number
  readonly command: readonly [string, ...string[]]
}

/** Asm-generic numbers, the same on every Linux that Node runs on. */
const linux = { AF_INET: 2, SOCK_STREAM: 1, SOL_SOCKET: 1, SO_REUSEADDR: 2, SOL_IP: 0, IP_TRANSPARENT: 19, F_DUPFD: 0 }
const backlog = 511
/** Above those that are passed on, so that none is written over. */
const aside = 128

/** Does not return. Throws `unavailable` where a socket cannot be had, `not_found` where the command is not there. */
export async function launch({ sockets, transparent, uid, gid, command }: LaunchOptions): Promise<never> {
  const program = findCommand(command[0])
  if (process.platform !== 'linux') throw unavailable(`this is ${process.platform}, not Linux`)
  const { default: koffi } = await import('koffi')
  const libc = koffi.load(null)
  const socket = libc.func('int socket(int, int, int)')
  const setsockopt = libc.func('int setsockopt(int, int, int, const uint8_t *, uint32_t)')
  const bind = libc.func('int bind(int, const uint8_t *, uint32_t)')
  const listen = libc.func('int listen(int, int)')
  const fcntl = libc.func('int fcntl(int, int, int)')
  const dup2 = libc.func('int dup2(int, int)')
  const on = Buffer.from([1, 0, 0, 0])
  const done = (result: number, what: string): number => {
    if (result < 0) throw unavailable(`${what}: ${getSystemErrorName(-koffi.errno())}`)
    return result
  }
  const opened = sockets.map(({ name, address, port }) => {
    const fd = done(socket(linux.AF_INET, linux.SOCK_STREAM, 0), name)
    done(setsockopt(fd, linux.SOL_SOCKET, linux.SO_REUSEADDR, on, 4), name)
    if (transparent) done(setsockopt(fd, linux.SOL_IP, linux.IP_TRANSPARENT, on, 4), `${name} cannot be transparent`)
    done(bind(fd, socketAddress(address, port), 16), `${name} cannot have ${address}:${port}`)
    done(listen(fd, backlog), name)
    return done(fcntl(fd, linux.F_DUPFD, aside), name)
  })
  try {
    process.setgroups!([gid])
    process.setgid!(gid)
    process.setuid!(uid)
  } catch (thrown) {
    throw unavailable(`it cannot become user ${uid}: ${messageOf(thrown)}`)
  }
  // Node's own descriptors are written over here: nothing may wait any more before the next program is there.
  for (const [at, fd] of opened.entries()) done(dup2(fd, firstInherited + at), 'descriptor')
  const passed = { LISTEN_PID: String(process.pid), LISTEN_FDS: String(sockets.length) }
  const names = { LISTEN_FDNAMES: sockets.map(({ name }) => name).join(':') }
  process.execve!(program, command, { ...process.env, ...passed, ...names })
  throw unavailable(`${program} cannot be run`)
}

/** `struct sockaddr_in`: its family in the order of the machine, which is little-endian wherever Node runs on Linux but s390x. */
function socketAddress(address: string, port: number): Buffer {
  const bytes = Buffer.alloc(16)
  new Uint16Array(bytes.buffer, bytes.byteOffset, 1)[0] = linux.AF_INET
  bytes.writeUInt16BE(port, 2)
  bytes.set(address.split('.').map(Number), 4)
  return bytes
}

function findCommand(command: string): string {
  const places = command.includes('/') ? [''] : (process.env['PATH'] ?? '').split(delimiter)
  for (const place of places) {
    const path = join(place, command)
    if (statSync(path, { throwIfNoEntry: false })?.isFile()) return path
  }
  throw new WritError('not_found', `there is no command ${command}`, { cure: 'give its path' })
}

const unavailable = (text: string): WritError =>
  new WritError('unavailable', text, { cure: 'run this as root, where nobody else listens there' })
