import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

/** What is committed works behind any registry and on any machine: it names none of either. */

const committed = execFileSync('git', ['ls-files', '-z'], { encoding: 'utf8' }).split('\0').filter(Boolean)

const registries = [
  ...['registry.npmjs', 'registry.yarnpkg', 'npm.pkg.github', 'proxy.golang', 'sum.golang', 'pypi', 'pythonhosted'],
  ...['repo1.maven', 'repo.maven', 'static.crates', 'index.crates', 'deb.debian', 'security.debian'],
].map((host) => `${host}.`)

const foreign: readonly { readonly what: string; readonly shape: RegExp }[] = [
  { what: 'a registry', shape: new RegExp(registries.map((host) => host.replaceAll('.', '\\.')).join('|'), 'i') },
  { what: 'a path of one machine', shape: /(?<![\w.@/:-])\/(?:work|root|Users|home\/(?!node\b)[a-z]\w*)\/[\w.]/ },
]

function foreignIn(text: string): string[] {
  return text
    .split('\n')
    .flatMap((line, index) =>
      foreign.flatMap(({ what, shape }) =>
        shape.test(line) ? [`line ${index + 1} names ${what}: ${line.trim()}`] : [],
      ),
    )
}

test('lock files hold versions and hashes, no addresses', () => {
  const locks = committed.filter((file) => /package-lock\.json$/.test(file))
  expect(locks).toContain('package-lock.json')
  for (const file of locks) {
    const lock = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, { resolved?: string }> }
    const addressed = Object.entries(lock.packages).filter(([, entry]) => entry.resolved !== undefined)
    expect(addressed, file).toEqual([])
  }
})

test('the lock file knows the packages of every platform, without which npm ci refuses it', () => {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { version?: string; optionalDependencies?: Record<string, string> }>
  }
  const known = new Set(
    Object.entries(packages).map(([place, { version }]) => `${place.split('node_modules/').at(-1)}@${version}`),
  )
  const wanted = Object.values(packages).flatMap(({ optionalDependencies = {} }) =>
    Object.entries(optionalDependencies).flatMap(([name, version]) =>
      /^\d/.test(version) ? [`${name}@${version}`] : [],
    ),
  )
  const missing = wanted.filter((name) => !known.has(name))
  expect(missing, 'run: node .ci/complete-lock.mjs').toEqual([])
})

test('no committed file names a registry or a path of one machine', () => {
  const own = 'test/house/lockfile.test.ts'
  const faults = committed
    .filter((file) => file !== own)
    .flatMap((file) => foreignIn(readText(file)).map((fault) => `${file} ${fault.slice(0, 200)}`))
  expect(faults).toEqual([])
  expect(committed.length).toBeGreaterThan(30)
})

test('an address and a path are told from what only looks like one', () => {
  expect(foreignIn('fetch https://registry.npmjs.org/x')).toHaveLength(1)
  expect(foreignIn("const here = '/root/cache'")).toHaveLength(1)
  expect(foreignIn('cd /home/ann/writ')).toHaveLength(1)
  expect(foreignIn('spiffe://bank.example/root/ca and ./work/list and example.test/work/list')).toEqual([])
})

/** Binary files and files that are deleted but not yet committed so hold nothing to read. */
function readText(file: string): string {
  try {
    const text = readFileSync(file, 'utf8')
    return text.includes('\0') ? '' : text
  } catch {
    return ''
  }
}
