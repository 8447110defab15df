#!/usr/bin/env node
// Starts the command with a Node that runs it: this one if it is new enough, else the one that npm installed beside us.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const main = ['dist/cli/main.js', 'cli/main.ts'].map((path) => join(root, path)).find(existsSync)

if (Number(process.versions.node.split('.')[0]) >= 24) {
  await import(main)
} else {
  let node
  try {
    node = join(dirname(createRequire(import.meta.url).resolve('node/package.json')), 'bin/node')
  } catch {
    process.stderr.write(
      `error usage: Writ needs Node 24 or newer, this is ${process.version}\n  cure: install Node 24, or run "npm ci" in ${root}, which brings one\n`,
    )
    process.exit(2)
  }
  const run = spawnSync(node, [main, ...process.argv.slice(2)], { stdio: 'inherit' })
  process.exit(run.status ?? 1)
}
