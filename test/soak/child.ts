/** Processes of the soak that are asked over their channel, one message at a time, and answer. */

import { type ChildProcess, fork } from 'node:child_process'

/** In the child: `ready` is told once, then each question is answered. It ends with whoever started it. */
export function answering<Ask>(ready: unknown, answer: (ask: Ask) => Promise<unknown>): void {
  process.on('message', ({ id, ask }: { readonly id: number; readonly ask: Ask }) => {
    answer(ask).then(
      (value) => process.send?.({ id, value }),
      (thrown: Error) => process.send?.({ id, wrong: thrown.stack ?? String(thrown) }),
    )
  })
  process.on('disconnect', () => process.exit(1))
  process.send?.({ id: 0, value: ready })
}

export interface Asked<Ask> {
  /** What it said of itself once it was ready. */
  readonly ready: unknown
  ask(ask: Ask): Promise<unknown>
  /** The end of what it complained of. */
  said(): string
  kill(): void
}

/** `before`: a command that runs it, such as one that enters a network namespace. */
export async function startAsked<Ask>(
  script: string,
  args: readonly string[],
  before: readonly string[] = [],
): Promise<Asked<Ask>> {
  const [program, ...words] = [...before, process.execPath]

  const child: ChildProcess = fork(script, args, {
    execPath: program!,
    execArgv: [...words, '--expose-gc'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  let said = ''
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-100_000)
  })
  const waiting = new Map<number, PromiseWithResolvers<unknown>>()
  let last = 0
  child.on('message', ({ id, value, wrong }: { id: number; value?: unknown; wrong?: string }) => {
    const waits = waiting.get(id)
    waiting.delete(id)
    if (wrong === undefined) waits?.resolve(value)
    else waits?.reject(new Error(wrong))
  })
  child.on('exit', (code, signal) => {
    for (const { reject } of waiting.values()) reject(new Error(`${script} ended with ${code ?? signal}: ${said}`))
  })
  const next = (id: number): Promise<unknown> => {
    const waits = Promise.withResolvers<unknown>()
    waiting.set(id, waits)
    return waits.promise
  }
  const kill = (): void => void child.kill('SIGKILL')
  const ready = await next(0).catch((thrown: unknown) => {
    kill()
    throw thrown
  })
  return {
    ready,
    ask(ask) {
      const answer = next(++last)
      child.send({ id: last, ask })
      return answer
    },
    said: () => said,
    kill,
  }
}
