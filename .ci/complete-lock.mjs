// Adds to a package-lock.json the optional packages of other platforms that the registry it was made from did not have.
// Without them `npm ci` refuses the lock file there; with them it sees that they are for another platform and goes on.
// Usage: node .ci/complete-lock.mjs [package-lock.json]. Changes nothing where nothing is missing.

import { readFileSync, writeFileSync } from 'node:fs'

const file = process.argv[2] ?? 'package-lock.json'
const lock = JSON.parse(readFileSync(file, 'utf8'))

const systems = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32']
const processors = ['arm64', 'arm', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64', 'wasm32']

/** Platform packages say in their names what they are for: `binding-linux-x64-musl`. */
function platformOf(name) {
  const words = name.replace('windows', 'win32').replace(/-64$/, '-x64').split(/[-/]/)
  const os = systems.filter((system) => words.includes(system))
  const cpu = processors.filter((processor) => words.includes(processor))
  const libc = words.includes('musl') ? ['musl'] : words.includes('gnu') ? ['glibc'] : []
  if (os.length + cpu.length === 0) throw new Error(`${name} does not say what platform it is for`)
  return { ...(cpu.length > 0 && { cpu }), ...(libc.length > 0 && { libc }), ...(os.length > 0 && { os }) }
}

/** Where Node looks for `name` from the folder `from`, nearest first. */
function* placesOf(name, from) {
  for (let at = from; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) yield `${at}/node_modules/${name}`
  yield `node_modules/${name}`
}

let added = 0
for (const [folder, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    // Platform packages are wanted in one version; what is wanted in a range is an ordinary package.
    if (!/^\d/.test(version)) continue
    if ([...placesOf(name, folder)].some((place) => lock.packages[place]?.version === version)) continue
    // Beside the package that wants it, as npm places what has another version further up.
    const place = `${folder.slice(0, folder.lastIndexOf('node_modules/'))}node_modules/${name}`
    lock.packages[place] = { version, ...platformOf(name), ...(entry.dev && { dev: true }), optional: true }
    added++
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en')))
if (added > 0) writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
console.log(`${file}: ${added} packages of other platforms added`)
