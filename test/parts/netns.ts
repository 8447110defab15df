/** Network namespaces: hosts of their own on this machine. */

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { run } from './child.ts'
import { debianProgram } from './find.ts'
import type { Part } from './part.ts'

/** `nft` and `ip`, as root. */
export const netns: Part = {
  install: 'root, nftables and iproute2 (Debian: apt-get install nftables iproute2)',
  prepare: async (say) => {
    if (process.getuid?.() !== 0) throw new Error('network namespaces need root')
    await debianProgram('nft', 'nftables', say)
    return debianProgram('ip', 'iproute2', say)
  },
}

export interface Host {
  /** What a command in it begins with. */
  readonly enter: readonly string[]
  readonly address: string
}

/** Two hosts with a cable between them. Each has a hosts file of its own. */
export async function startHosts(
  ip: string,
): Promise<{ readonly hosts: readonly [Host, Host]; remove(): Promise<void> }> {
  const names = [`writ-a-${process.pid}`, `writ-b-${process.pid}`] as const
  const cables = [`wa${process.pid}`, `wb${process.pid}`] as const
  const files = names.map((name) => `/etc/netns/${name}`)
  const remove = async (): Promise<void> => {
    for (const name of names) await run(ip, ['netns', 'del', name]).catch(() => undefined)
    for (const file of files) await rm(file, { recursive: true, force: true })
  }
  const host = (index: 0 | 1): Host => ({
    enter: [ip, 'netns', 'exec', names[index]],
    address: `10.213.77.${index + 1}`,
  })
  try {
    for (const [index, name] of names.entries()) {
      await mkdir(files[index]!, { recursive: true })
      await writeFile(`${files[index]}/hosts`, await readFile('/etc/hosts'))
      await run(ip, ['netns', 'add', name])
    }
    await run(ip, [
      'link',
      'add',
      cables[0],
      'netns',
      names[0],
      'type',
      'veth',
      'peer',
      'name',
      cables[1],
      'netns',
      names[1],
    ])
    for (const index of [0, 1] as const) {
      const inside = (...words: readonly string[]): Promise<string> => run(ip, ['-n', names[index], ...words])
      await inside('addr', 'add', `${host(index).address}/30`, 'dev', cables[index])
      await inside('link', 'set', cables[index], 'up')
      await inside('link', 'set', 'lo', 'up')
      await inside('route', 'add', 'default', 'via', host(index === 0 ? 1 : 0).address) // As hosts have one.
    }
  } catch (thrown) {
    await remove()
    throw thrown
  }
  return { hosts: [host(0), host(1)], remove }
}
