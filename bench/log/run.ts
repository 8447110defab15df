/** Makes a log of ENTRIES (a million by default) in FOLDER and says what it takes on the disk; `verify.ts` verifies it. */

import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { makeLog } from './make.ts'

const [dir = '.cache/million', entries = '1000000'] = process.argv.slice(2)
const began = process.cpuUsage()
const made = await makeLog({
  dir,
  entries: Number(entries),
  onProgress: (size) => process.stderr.write(`\r${size} entries`),
})
const { user, system } = process.cpuUsage(began)
let bytes = 0
for (const name of await readdir(join(made.dir, '0', 'tile'), { recursive: true })) {
  if (name.startsWith('entries/'))
    bytes += (await stat(join(made.dir, '0', 'tile', name))).size * (name.includes('.') ? 1 : 0)
}
process.stdout.write(
  `\n${made.size} entries, ${made.notes.length} checkpoints, ${(bytes / made.size).toFixed(1)} B of bundle a leaf, ${((user + system) / 1e6).toFixed(0)} s of CPU\n${made.verifierKey}\n`,
)
