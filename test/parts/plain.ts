/** Commands that a machine has or has not. */

import { debianProgram } from './find.ts'
import type { Part } from './part.ts'

export const curl: Part = {
  install: 'curl (Debian: apt-get install curl)',
  prepare: (say) => debianProgram('curl', 'curl', say),
}

export const openssl: Part = {
  install: 'OpenSSL 3 (Debian: apt-get install openssl)',
  prepare: (say) => debianProgram('openssl', 'openssl', say),
}
