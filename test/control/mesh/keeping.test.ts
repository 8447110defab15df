import { expect, test } from 'vitest'
import { compiled, own, problemsOf } from '../world.ts'

/** How the log is kept, as the Mesh document says it. */

const mesh = (audit: string): string => own('Mesh', 'mine', `{ trustDomain: shop.example, audit: { ${audit} } }`)
const keepingOf = (audit: string) => {
  const result = compiled(mesh(audit))
  return result.ok ? result.settings.keeping : result.problems
}
const told = (audit: string): readonly string[] =>
  problemsOf(mesh(audit)).map(({ field, problem }) => `${field} ${problem}`)

test('by default the log stays in its folder, for good', () => {
  expect(keepingOf('durability: strict')).toEqual({ s3: {} })
})

test('it is published every ten seconds, and entries go once a day, archived first where there is an archive', () => {
  const publish = 'publish: { to: "s3://bank-log/audit" }'
  expect(
    keepingOf(`s3: { endpoint: "https://s3.example", region: eu-1 }, ${publish}, retention: { keep: 400d }`),
  ).toEqual({
    s3: { endpoint: 'https://s3.example', region: 'eu-1' },
    publish: { to: 's3://bank-log/audit', everyMs: 10_000 },
    retention: { keepMs: 400 * 86_400_000, everyMs: 86_400_000 },
  })
  expect(keepingOf('retention: { keep: 36h, archive: "/archive", every: 1h }')).toMatchObject({
    retention: { keepMs: 36 * 3_600_000, everyMs: 3_600_000, archive: '/archive' },
  })
  expect(keepingOf(`${publish}, retention: { keep: 1d, archive: "s3://bank-log/archive" }`)).toMatchObject({
    retention: { archive: 's3://bank-log/archive' },
  })
})

test('places that are none, times out of bounds, and an archive within what is published are refused', () => {
  expect(told('publish: { to: "https://s3.example/x" }')[0]).toMatch(/publish\.to is not s3:/)
  expect(told('publish: { to: "s3://bank/../x" }')[0]).toMatch(/publish\.to is not s3:/)
  expect(told('s3: { endpoint: "http://s3.example" }')[0]).toMatch(/s3\.endpoint is neither https/)
  expect(told('publish: { to: "s3://bank", every: 500ms }')[0]).toMatch(/publish\.every 500ms is not between/)
  expect(told('retention: { keep: 23h }')[0]).toMatch(/retention\.keep 23h is not at least 1d/)
  expect(told('retention: { keep: soon }')[0]).toMatch(/retention\.keep is not a time/)
  expect(told('retention: { keep: 1d, archive: "https://x.example" }')[0]).toMatch(/archive is neither a folder/)
  const both = (archive: string) => `publish: { to: "s3://bank/log" }, retention: { keep: 1d, archive: "${archive}" }`
  for (const archive of ['s3://bank/log', 's3://bank', 's3://bank/log/old'])
    expect(told(both(archive))[0]).toMatch(/retention\.archive .* lie in each other/)
  expect(told(both('s3://bank/logs'))).toEqual([])
})
