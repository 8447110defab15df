/** The bank's ports: those of its mesh file where they are free, others where they are not. */

import { createServer } from 'node:net'

/** Whether the usual ports are wanted, or any that are free. */
export type Wanted = 'usual' | 'any'

/** Replaces every 7xxx port of the mesh file that is taken, or not wanted, by one that is free. */
export async function withFreePorts(mesh: string, wanted: Wanted): Promise<string> {
  const usual = new Set([...mesh.matchAll(/port: (7\d{3})\b/g)].map((match) => Number(match[1])))
  const places = new Map<number, number>()
  for (const port of usual) places.set(port, await portNear(port, wanted))
  return mesh.replaceAll(/port: (7\d{3})\b/g, (_, port: string) => `port: ${places.get(Number(port))}`)
}

/** The given port where it is wanted and free, else another. */
export const portNear = async (port: number, wanted: Wanted): Promise<number> =>
  wanted === 'usual' && (await isFree(port)) ? port : freePort()

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => resolve(port))
    })
  })
