import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

/** The pages that lead through the house name only what stands there. */

const pages = ['README.md', 'docs/ARCHITECTURE.md']

const folders = 'core|engine|proxy|ca|audit|control|console|cli|policies|deploy|bench|test|docs|bin|\\.ci'

/** Paths in the text, wherever they stand: `proxy/flow/{limit,retry}` is two, and `engine/decide` means the file. */
function pathsIn(page: string): string[] {
  const inFolders = new RegExp(`(?<![\\w/.:@-])(?:${folders})(?:/[\\w.@{},-]*)+`, 'g')
  const links = [...page.matchAll(/\]\(([^)#\s:]+)(?:#[^)]*)?\)/g)].map((link) => link[1]!)
  const named = [...page.matchAll(inFolders)].map((match) => match[0].replace(/[.,]+$/, ''))
  return [...links, ...named].flatMap(expand)
}

function expand(path: string): string[] {
  const braces = /^(.*)\{([^}]*)\}(.*)$/.exec(path)
  return braces ? braces[2]!.split(',').flatMap((word) => expand(`${braces[1]}${word}${braces[3]}`)) : [path]
}

const stands = (path: string): boolean =>
  ['', '.ts', '.test.ts'].some((end) => existsSync(path.replace(/\/$/, '') + end))

for (const page of pages) {
  test(`every path that ${page} names is there`, () => {
    const base = page.includes('/') ? `${page.slice(0, page.lastIndexOf('/'))}/` : ''
    const paths = pathsIn(readFileSync(page, 'utf8'))
    expect(paths.filter((path) => !stands(path) && !stands(base + path))).toEqual([])
    if (page.endsWith('ARCHITECTURE.md')) expect(paths.length).toBeGreaterThan(20)
  })
}

test('a path that is not there is found, however it is written', () => {
  const page = 'See `proxy/serve`, core/facts.ts, [this](test/setup.ts#a) and proxy/flow/{facts,nowhere}; ca/nobody.'
  expect(pathsIn(page)).toEqual([
    ...['test/setup.ts', 'proxy/serve', 'core/facts.ts', 'test/setup.ts'],
    ...['proxy/flow/facts', 'proxy/flow/nowhere', 'ca/nobody'],
  ])
  expect(pathsIn(page).filter((path) => !stands(path))).toEqual(['proxy/flow/nowhere', 'ca/nobody'])
  expect(pathsIn('GET https://writ.example/audit/query of spiffe://bank.example/ca/x')).toEqual([])
})
