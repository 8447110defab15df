/** `writ policy serve`: OPA's REST API over the policies of a folder. */

import { Command } from 'commander'
import { hostAndPort, number, repeated } from './options.ts'
import type { ServeFlags } from './wire/rego-server.ts'

export const serveCommand = (): Command =>
  new Command('serve')
    .description("answer OPA's REST API over the policies of a folder")
    .option('--policies <dir>', 'folder of policies, each with its bundle in a folder of its own', 'policies')
    .option('--bundle-name <name>', 'which of them; may repeat (default: all)', repeated, [])
    .option('--listen <host:port>', 'where; beyond loopback it takes a token', hostAndPort, {
      address: '127.0.0.1',
      port: 8181,
    })
    .option('--token-file <file>', 'bearer token that all but health checks need')
    .option('--default-decision <path>', 'what POST / answers for', 'system/main')
    .option('--compile', 'also compile modules that are posted to /v1/policies/compile')
    .option('--decision-log <file>', 'append each decision as OPA logs it, before it is answered')
    .option('--decision-log-max-bytes <n>', 'length at which that file is full', number, 1024 ** 3)
    .option('--collector <url>', 'keep each decision in the log of this collector, before it is answered')
    .option('--collector-token-file <file>', 'token for it: writ token NAME --logs')
    .option('--collector-ca <file>', 'certificates that may vouch for it (default: those this machine trusts)')
    .option('--max-body <bytes>', 'length of a body', number, 1024 ** 2)
    .addHelpText(
      'after',
      `
GET and POST /v1/data/PATH, POST /v0/data/PATH, POST /, /health, /metrics. What is compiled to Wasm answers for its entry
points and for what is below them; every other path is undefined, and a header x-writ-warning says so.`,
    )
    .action(async (flags: ServeFlags) => (await import('./wire/rego-server.ts')).serve(flags))
