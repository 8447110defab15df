#!/usr/bin/env node
// Starts the command with a Node that runs it: this one if it is new enough, else the one that npm installed beside us.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const main = ['dist/command/main.js', 'cli/main.ts'].map((path) => join(root, path)).find(existsSync)

if (Number(process.versions.node.split('.')[0]) >= 24) {
  const { run } = await import(pathToFileURL(main).href)
  await run(process.argv)
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
  const child = spawn(node, [main, ...process.argv.slice(2)], { stdio: 'inherit' })
  // Whoever stops this process means the command: it hears of it, and this process waits for its end.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.once('error', (error) => {
    process.stderr.write(`error internal: ${node} does not run: ${error.message}\n`)
    process.exit(1)
  })
  child.once('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
}
