/** Where the proxy of this project enters the comparison: one worker in a process of its own, on one core. */

import type { Certificates } from './certificates.ts'

export interface WritProxyOptions {
  readonly upstreamPort: number
  /** Undefined is plain HTTP. Otherwise `server` is its SVID, and callers show one that `roots` signed. */
  readonly tls: Certificates | undefined
  /** Ask the policy of policies/bank and keep a record of each decision (`bounded`), streaming included. */
  readonly judged: boolean
  /** In front of the command, to pin it. */
  readonly before: readonly string[]
  /** For its state; removed by the run. */
  readonly folder: string
}

export interface RunningProxy {
  readonly port: number
  pid(): number | undefined
  remove(): Promise<void>
}

/** Undefined where the proxy has no such way to run: the case is left out of the table and named below it. */
export type StartWritProxy = (options: WritProxyOptions) => Promise<RunningProxy | undefined>

export const startWritProxy: StartWritProxy = async () => undefined
