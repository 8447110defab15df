/** workerd, the runtime of Cloudflare Workers: runs ES modules and Wasm behind a loopback port. */

import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Child, startChild } from './child.ts'
import { npmParts, resolveIn } from './npm.ts'
import { type Part, type Running, running } from './part.ts'
import { freePort, portAnswers } from './ports.ts'

export const workerd: Part = {
  install: 'npm, and a network that reaches its registry once',
  prepare: async (say) =>
    resolveIn(await npmParts(say)).resolve(`@cloudflare/workerd-${process.platform}-${machine()}/bin/workerd`),
}

const machine = (): string => (process.arch === 'x64' ? '64' : process.arch)

export interface WorkerdOptions {
  /** By module name; the first is the main one. `.wasm` gives a WebAssembly.Module, all else is an ES module. */
  readonly modules: Readonly<Record<string, string | Uint8Array>>
}

export interface RunningWorkerd extends Running {
  readonly port: number
  /** `http://127.0.0.1:port`. */
  readonly url: string
}

export async function startWorkerd(options: WorkerdOptions): Promise<RunningWorkerd> {
  const program = await workerd.prepare(() => undefined)
  const folder = await mkdtemp(join(tmpdir(), 'writ-workerd-'))
  const port = await freePort()
  const modules: string[] = []
  for (const [name, content] of Object.entries(options.modules)) {
    const file = `module-${modules.length}`
    await writeFile(join(folder, file), content)
    modules.push(`(name = "${name}", ${name.endsWith('.wasm') ? 'wasm' : 'esModule'} = embed "${file}")`)
  }
  const settings = join(folder, 'config.capnp')
  await writeFile(
    settings,
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "internet", network = (allow = ["private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [${modules.join(', ')}],
  compatibilityDate = "2026-11-01",
);
`,
  )
  const start = async (): Promise<Child> => {
    const child = startChild(program, ['serve', settings])
    try {
      await portAnswers(port, 20_000, child.ended)
    } catch (cause) {
      await child.kill()
      throw new Error(`workerd did not start: ${child.logs()}`, { cause })
    }
    return child
  }
  return { ...(await running(folder, start)), port, url: `http://127.0.0.1:${port}` }
}
