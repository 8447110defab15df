/** One run of OPA compiled to WebAssembly, in a thread of its own: a thread can be ended, whatever it is doing. */

import { openSync } from 'node:fs'
import { devNull } from 'node:os'
import { WASI } from 'node:wasi'
import { parentPort, workerData } from 'node:worker_threads'
import { type Calls, keptWithin } from './opa-folder.ts'
import type { WorkerAnswer, WorkerTask } from './opa-wasm.ts'

/** WASI preview 1: what a call answers where all is well. */
const success = 0

class TooMuch extends Error {}

async function run({ module, args, cwd, input, maxOutputBytes }: WorkerTask): Promise<WorkerAnswer> {
  const nothing = openSync(devNull, 'r+')
  // Under its own name, so that messages name files as they do outside. A drive letter has no place in there.
  const inside = cwd.startsWith('/') ? cwd : '/'
  const wasi = new WASI({
    version: 'preview1',
    args: ['opa', ...args],
    env: { PWD: inside, GOMEMLIMIT: '1536MiB' }, // Nothing of the host's, and a collector that works harder before the memory ends.
    preopens: { [inside]: cwd },
    returnOnExit: true,
    stdin: nothing,
    stdout: nothing,
    stderr: nothing,
  })
  const printed: { readonly [fd: number]: Uint8Array[] } = { 1: [], 2: [] }
  let length = 0
  let rest: Uint8Array = new TextEncoder().encode(input)
  let instance: WebAssembly.Instance | undefined

  const { wasi_snapshot_preview1: host } = wasi.getImportObject() as { readonly wasi_snapshot_preview1: Calls }
  const memory = (): ArrayBuffer => (instance!.exports['memory'] as WebAssembly.Memory).buffer
  const kept = keptWithin(cwd, host, (pointer, length) => Buffer.from(memory(), pointer, length).toString('utf8'))

  /** The parts of memory that a vector names, and the place where their length goes. */
  function vector(at: number, count: number): readonly Uint8Array[] {
    const view = new DataView(memory())
    return Array.from(
      { length: count },
      (_, i) => new Uint8Array(view.buffer, view.getUint32(at + 8 * i, true), view.getUint32(at + 8 * i + 4, true)),
    )
  }
  function answer(at: number, count: number): number {
    new DataView(memory()).setUint32(at, count, true)
    return success
  }

  const streams = {
    fd_write(fd: number, iovs: number, count: number, written: number): number {
      const out = printed[fd]
      if (!out) return host['fd_write']!(fd, iovs, count, written)
      let sum = 0
      for (const part of vector(iovs, count)) {
        out.push(part.slice())
        sum += part.length
      }
      length += sum
      if (length > maxOutputBytes) throw new TooMuch()
      return answer(written, sum)
    },
    fd_read(fd: number, iovs: number, count: number, read: number): number {
      if (fd !== 0) return host['fd_read']!(fd, iovs, count, read)
      let sum = 0
      for (const part of vector(iovs, count)) {
        const taken = rest.subarray(0, part.length)
        part.set(taken)
        rest = rest.subarray(taken.length)
        sum += taken.length
      }
      return answer(read, sum)
    },
  }

  const text = (fd: 1 | 2): Uint8Array => new Uint8Array(Buffer.concat(printed[fd]!))
  try {
    instance = await WebAssembly.instantiate(module, { wasi_snapshot_preview1: { ...kept, ...streams } })
    const code: unknown = wasi.start(instance)
    if (typeof code === 'number') return { kind: 'ended', code, stdout: text(1), stderr: text(2) }
    return { kind: 'broken', why: 'it ended without an exit code', stderr: text(2) }
  } catch (thrown) {
    if (thrown instanceof TooMuch) return { kind: 'too_much' }
    return { kind: 'broken', why: String(thrown), stderr: text(2) }
  }
}

parentPort!.postMessage(await run(workerData as WorkerTask))
