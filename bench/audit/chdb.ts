/** The engine of ClickHouse in a process of Python (PyPI `chdb-core`): one statement at a time, over its standard input. */

import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { run } from '../../test/parts/child.ts'
import { cached, findProgram } from '../../test/parts/find.ts'

const wheel = 'chdb-core==26.9.0'

const server = `
import json, sys
from chdb import session
db = session.Session(sys.argv[1])
for line in sys.stdin:
    try:
        print(json.dumps({'ok': str(db.query(json.loads(line), 'JSONCompactEachRow'))}), flush=True)
    except Exception as error:
        print(json.dumps({'error': str(error)[:2000]}), flush=True)
`

export interface ClickHouse {
  /** Rows as arrays, in the order of the columns. */
  ask(statement: string): Promise<readonly (readonly unknown[])[]>
  pid(): number
  close(): Promise<void>
}

export async function startClickHouse(dir: string): Promise<ClickHouse> {
  const python = await findProgram('python3')
  if (!python) throw new Error('no python3 on the PATH')
  const site = await cached(wheel.replace('==', '-'), (draft) =>
    run(python, ['-m', 'pip', 'install', '-q', '--no-deps', '--target', join(draft, 'site'), wheel]).then(
      () => undefined,
    ),
  )
  const env = { ...process.env, PYTHONPATH: join(site, 'site'), PYTHONDONTWRITEBYTECODE: '1' }
  const child: ChildProcess = spawn(python, ['-c', server, dir], { env, stdio: ['pipe', 'pipe', 'inherit'] })
  const waiting: ((line: string) => void)[] = []
  createInterface({ input: child.stdout! }).on('line', (line) => waiting.shift()?.(line))
  const ended = new Promise<never>((_, reject) => child.on('exit', (code) => reject(new Error(`chdb ended: ${code}`))))
  ended.catch(() => undefined)
  return {
    async ask(statement) {
      const answer = new Promise<string>((resolve) => waiting.push(resolve))
      child.stdin!.write(`${JSON.stringify(statement)}\n`)
      const { ok, error } = JSON.parse(await Promise.race([answer, ended])) as { ok?: string; error?: string }
      if (ok === undefined) throw new Error(`${statement.slice(0, 200)}: ${error}`)
      return ok
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as unknown[])
    },
    pid: () => child.pid!,
    async close() {
      child.stdin!.end()
      const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
      await ended.catch(() => undefined)
      clearTimeout(timer)
    },
  }
}
