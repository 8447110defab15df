/** Commands that a machine has or has not. */

import { debianProgram, findProgram } from './find.ts'
import type { Part } from './part.ts'

export const curl: Part = {
  install: 'curl (Debian: apt-get install curl)',
  prepare: (say) => debianProgram('curl', 'curl', say),
}

export const openssl: Part = {
  install: 'OpenSSL 3 (Debian: apt-get install openssl)',
  prepare: (say) => debianProgram('openssl', 'openssl', say),
}

export const go: Part = {
  install: 'Go 1.25 or newer (https://go.dev/dl)',
  async prepare() {
    const found = await findProgram('go', ['/usr/local/go/bin'])
    if (found) return found
    throw new Error('no go on the PATH')
  },
}
