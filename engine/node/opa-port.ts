/** OPA's own program: the Rego compiler, tester, formatter and evaluator, by the words of its command line. */

export interface Opa {
  /** A program of this machine, or OPA compiled to WebAssembly, which runs in this process. Both print the same. */
  readonly kind: 'native' | 'wasm'
  /** Runs one command, such as `['fmt', '--list', '.']`. Rejects where it cannot be run to its end, not where it fails. */
  run(args: readonly string[], options: OpaRun): Promise<OpaRan>
}

export interface OpaRun {
  /** Folder that names in the arguments are relative to; nothing outside it is read or written. */
  readonly cwd: string
  /** Standard input. Default empty. */
  readonly input?: string
  /** Time after which it is ended, in milliseconds. Default 5 minutes. */
  readonly timeoutMs?: number
}

export interface OpaRan {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}
