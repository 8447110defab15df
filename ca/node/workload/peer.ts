/** Who is at the other end of a Unix socket: what the kernel says of the process that connected. Linux only. */

import { createHash } from 'node:crypto'
import { createReadStream, readFileSync, readlinkSync, statSync } from 'node:fs'
import type { Socket } from 'node:net'
import { messageOf, WritError } from '../../../core/fault.ts'
import type { Selector } from '../../../core/workload.ts'

export interface Credentials {
  readonly pid: number
  readonly uid: number
  readonly gid: number
}

/** getsockopt(SO_PEERCRED) for a socket's descriptor. Throws where it cannot be had. */
export type ReadCredentials = (fd: number) => Credentials

/** Node has no such call, so it goes through koffi. Rejects with `unavailable` on other systems. */
export async function openCredentials(): Promise<ReadCredentials> {
  const unavailable = (why: string, cause?: unknown) =>
    new WritError('unavailable', `callers of the socket cannot be told apart: ${why}`, {
      cure: 'run the agent on Linux, or give each workload a socket of its own: writ proxy --workload-api',
      cause,
    })
  if (process.platform !== 'linux') throw unavailable(`this is ${process.platform}, not Linux`)
  try {
    const { default: koffi } = await import('koffi')
    const getsockopt = koffi
      .load(null)
      .func('int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)')
    return (fd) => {
      const value = Buffer.alloc(12)
      const length = [value.length]
      // SOL_SOCKET is 1 and SO_PEERCRED 17 on every Linux that Node runs on (asm-generic/socket.h).
      if (getsockopt(fd, 1, 17, value, length) !== 0 || length[0] !== 12)
        throw new Error('the kernel gave no credentials')
      return { pid: value.readInt32LE(0), uid: value.readUInt32LE(4), gid: value.readUInt32LE(8) }
    }
  } catch (thrown) {
    throw unavailable(messageOf(thrown), thrown)
  }
}

/** The descriptor of a socket, which only a private field has. */
export function descriptorOf(socket: Socket): number {
  const fd: unknown = (socket as unknown as { _handle?: { fd?: unknown } })._handle?.fd
  if (typeof fd !== 'number' || fd < 0) throw new Error('the connection is closed')
  return fd
}

/** Largest program that is hashed, in bytes. A larger one has no digest. */
const maxProgram = 1024 ** 3

export interface UnixProof {
  readonly selectors: ReadonlySet<Selector>
  readonly pid: number
}

/**
 * The kernel's word for uid and gid, as they were when it connected. Groups, path and digest are read of the process with
 * that number, and hold only if it began before the socket was open and is still the same one afterwards.
 */
export async function proveUnix({ pid, uid, gid }: Credentials, digestOf: DigestOf = digests()): Promise<UnixProof> {
  const sure: Selector[] = [`unix:uid:${uid}`, `unix:gid:${gid}`]
  if (pid <= 0) return { selectors: new Set(sure), pid } // Of another PID namespace: it cannot be looked at.
  try {
    const began = startOf(pid)
    const path = readlinkSync(`/proc/${pid}/exe`)
    const groups = groupsOf(pid)
    const digest = await digestOf(pid)
    if (startOf(pid) !== began) return { selectors: new Set(sure), pid }
    // A program that was replaced while it runs has a name that is another file's by now.
    const named = path.endsWith(' (deleted)') ? [] : [`unix:path:${path}`]
    const more = [...groups.map((group) => `unix:supplementary_gid:${group}`), ...named]
    return { selectors: new Set([...sure, ...more, ...(digest ? [`unix:sha256:${digest}`] : [])]), pid }
  } catch {
    return { selectors: new Set(sure), pid } // It has ended, or is another user's whom we may not look at.
  }
}

/** Field 22 of /proc/<pid>/stat, counted after the name, which may hold anything (proc(5)). */
export function startOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}

function groupsOf(pid: number): readonly string[] {
  const line = /^Groups:\s*([\d ]*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))
  return line?.[1]?.trim().split(/\s+/).filter(Boolean) ?? []
}

/** SHA-256 of the program that a process runs, lower-case hex; undefined where it is too large. */
export type DigestOf = (pid: number) => Promise<string | undefined>

/** Remembers what it hashed for as long as the file is the same. */
export function digests(maxKept = 256): DigestOf {
  const known = new Map<string, Promise<string>>()
  return (pid) => {
    const file = `/proc/${pid}/exe`
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true })
    if (size > maxProgram) return Promise.resolve(undefined)
    const name = [dev, ino, size, mtimeNs, ctimeNs].join(' ')
    const before = known.get(name)
    if (before) return before
    const now = hash(file)
    known.set(name, now)
    now.catch(() => known.delete(name))
    if (known.size > maxKept) known.delete(known.keys().next().value!)
    return now
  }
}

async function hash(file: string): Promise<string> {
  const sum = createHash('sha256')
  for await (const chunk of createReadStream(file)) sum.update(chunk as Buffer)
  return sum.digest('hex')
}
