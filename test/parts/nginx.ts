/** nginx with a configuration of the test's own: an application, an upstream, a peer to measure against. */

import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Child, startChild } from './child.ts'
import { debianProgram } from './find.ts'
import { type Part, type Running, running } from './part.ts'
import { freePort, portAnswers } from './ports.ts'

export const nginx: Part = {
  install: 'nginx (Debian: apt-get install nginx-light)',
  prepare: (say) => debianProgram('nginx', 'nginx-light', say),
}

export interface NginxOptions {
  /** What stands in `http { }`, given the port and the folder that files may be put in. */
  readonly http: (port: number, folder: string) => string | Promise<string>
  /** In front of the command, such as `taskset -c 0`. */
  readonly before?: readonly string[]
  /** Connections that it holds at most, both sides counted. Default 4096. */
  readonly connections?: number
}

export interface RunningNginx extends Running {
  readonly port: number
}

export async function startNginx(options: NginxOptions): Promise<RunningNginx> {
  const program = await nginx.prepare(() => undefined)
  const folder = await mkdtemp(join(tmpdir(), 'writ-nginx-'))
  const port = await freePort()
  const settings = join(folder, 'nginx.conf')
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  await writeFile(
    settings,
    `daemon off;
master_process off; # One process: what is killed is all of it, and what is measured too.
pid ${folder}/nginx.pid;
error_log stderr warn;
events { worker_connections ${options.connections ?? 4096}; }
http {
  access_log off;
${temporary.map((name) => `  ${name}_temp_path ${folder}/${name};`).join('\n')}
${await options.http(port, folder)}
}
`,
  )
  const [command, ...args] = [...(options.before ?? []), program, '-e', 'stderr', '-p', folder, '-c', settings]
  const start = async (): Promise<Child> => {
    const child = startChild(command!, args)
    try {
      await portAnswers(port, 10_000, child.ended)
    } catch (cause) {
      await child.kill()
      throw new Error(`nginx did not start: ${child.logs()}`, { cause })
    }
    return child
  }
  return { ...(await running(folder, start)), port }
}
