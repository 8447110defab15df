/** The application of the soak: says back what it was asked, so that no answer can be taken for another's. */

import { createServer } from 'node:http'

const port = Number(process.argv[2])

createServer((asked, answer) => {
  let bytes = 0
  asked.on('data', (part: Buffer) => {
    bytes += part.length
  })
  asked.on('end', () => {
    answer.setHeader('x-soak', String(asked.headers['x-soak']))
    const body = `${asked.method} ${bytes}\n`
    if (asked.url !== '/open/stream') answer.end(body)
    else {
      answer.write(body) // In two pieces, so that it is chunked.
      setTimeout(() => answer.end('x'.repeat(20_000)), 20)
    }
  })
}).listen(port, '127.0.0.1', () => process.stdout.write('ready\n'))
