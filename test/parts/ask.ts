/** What each caller of a load saw, one by one: vegeta's own results, read back. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from './child.ts'
import { vegeta } from './vegeta.ts'

export interface Asked {
  readonly method: string
  readonly url: string
}

export interface Answered {
  readonly url: string
  /** 0 where no response came. */
  readonly status: number
}

export interface AskOptions {
  readonly targets: readonly Asked[]
  /** Requests per second; each target is asked for once. */
  readonly rate: number
  /** PEM files of the caller. The server's name is a URI, which vegeta cannot check. */
  readonly tls: { readonly cert: string; readonly key: string }
}

export async function askEachOnce({ targets, rate, tls }: AskOptions): Promise<readonly Answered[]> {
  const program = await vegeta.prepare(() => undefined)
  const folder = await mkdtemp(join(tmpdir(), 'writ-vegeta-'))
  try {
    const list = join(folder, 'targets.json')
    const results = join(folder, 'results')
    const answers = join(folder, 'answers.json')
    await writeFile(list, targets.map((target) => `${JSON.stringify(target)}\n`).join(''))
    await run(program, [
      ...['attack', '-format=json', '-lazy', `-targets=${list}`, `-output=${results}`, '-timeout=20s'],
      ...[`-rate=${rate}`, '-max-workers=64', '-connections=64', '-http2=false', '-redirects=-1', '-insecure'],
      ...[`-cert=${tls.cert}`, `-key=${tls.key}`],
    ])
    await run(program, ['encode', '-to=json', `-output=${answers}`, results])
    return (await readFile(answers, 'utf8'))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { url: string; code: number })
      .filter(({ url }) => url !== '') // The end of the list counts as one more.
      .map(({ url, code }) => ({ url, status: code }))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
