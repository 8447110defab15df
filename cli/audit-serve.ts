/** `writ audit serve`: the files of a log for anybody who may read them, as C2SP tlog-tiles has them over HTTP. */

import { join } from 'node:path'
import { Command } from 'commander'
import { hostAndPort } from './options.ts'
import { until } from './signals.ts'

export const serveCommand = (): Command =>
  new Command('serve')
    .description("serve a log's files over plain HTTP (C2SP tlog-tiles); whoever reaches it reads every record")
    .option('--log <dir>', 'folder of the log (default: log in the state folder)')
    .option('--listen <host:port>', 'where to listen; TLS is for the server in front', hostAndPort, {
      address: '127.0.0.1',
      port: 7447,
    })
    .option('--state <dir>', "the process's state folder", '.writ')
    .action(
      async (options: {
        readonly log?: string
        readonly listen: ReturnType<typeof hostAndPort>
        readonly state: string
      }) => {
        const [{ openFilesDoor }, { tileReader }] = await Promise.all([
          import('../control/node/log-files.ts'),
          import('../audit/node/folder.ts'),
        ])
        const unexpected = (thrown: unknown): void => void process.stderr.write(`${String(thrown)}\n`)
        const door = await openFilesDoor(
          tileReader(options.log ?? join(options.state, 'log')),
          options.listen,
          unexpected,
        )
        process.stdout.write(`log  ${door.url}\n`)
        await until('SIGINT', 'SIGTERM').wait()
        await door.close()
      },
    )
