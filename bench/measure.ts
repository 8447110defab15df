/** What a process and its children cost: CPU time and memory, as the kernel counts them. */

import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

export interface Cost {
  /** User and system time since the start, in milliseconds. */
  readonly cpuMs: number
  /** Resident memory, in bytes. */
  readonly rssBytes: number
}

const setting = (name: string): number => Number(execFileSync('getconf', [name], { encoding: 'utf8' }))

/** Of the process and everything that descends from it now. */
export function costOf(pid: number): Cost {
  const stats = readStats()
  let ticks = 0
  let pages = 0
  for (const member of treeOf(pid, stats)) {
    ticks += stats.get(member)!.ticks
    pages += stats.get(member)!.pages
  }
  return { cpuMs: (ticks * 1000) / setting('CLK_TCK'), rssBytes: pages * setting('PAGESIZE') }
}

export interface Stat {
  readonly parent: number
  /** User and system time of its own and of children that it has waited for. */
  readonly ticks: number
  readonly pages: number
}

/** The process itself first, where it still lives. */
export function treeOf(pid: number, stats: ReadonlyMap<number, Stat>): number[] {
  const found = stats.has(pid) ? [pid] : []
  for (let i = 0; i < found.length; i++) {
    for (const [child, { parent }] of stats) if (parent === found[i]) found.push(child)
  }
  return found
}

function readStats(): Map<number, Stat> {
  const stats = new Map<number, Stat>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      stats.set(Number(name), parseStat(readFileSync(`/proc/${name}/stat`, 'utf8')))
    } catch {
      // It ended between the listing and the read.
    }
  }
  return stats
}

/** proc(5): the name stands in brackets and may itself hold brackets and spaces. */
export function parseStat(text: string): Stat {
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  const field = (number: number): number => fields[number - 3]!
  return { parent: field(4), ticks: field(14) + field(15) + field(16) + field(17), pages: field(24) }
}

/** Time that one core was not idle since the machine started, in milliseconds; what a hypervisor took counts too. */
export function busyMsOf(core: number): number {
  const fields = new RegExp(`^cpu${core} (.*)$`, 'm').exec(readFileSync('/proc/stat', 'utf8'))?.[1]
  if (fields === undefined) return 0
  const [user, nice, system, , , irq, softirq, steal] = fields.split(' ').map(Number)
  return ((user! + nice! + system! + irq! + softirq! + (steal ?? 0)) * 1000) / setting('CLK_TCK')
}
