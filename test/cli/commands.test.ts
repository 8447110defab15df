import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { beforeAll, describe, expect, test } from 'vitest'
import { program } from '../../cli/main.ts'
import { repository, start, temporary, writ } from './writ.ts'

/** What holds for every command: its help, its refusals, what goes where, and how it ends. */

let root: Command
beforeAll(async () => {
  root = await program()
})

/** Each command and subcommand by its words. */
const all = (command: Command, words: readonly string[] = []): (readonly [string, Command])[] =>
  command.commands.flatMap((inner) => {
    const name = [...words, inner.name()]
    return [[name.join(' '), inner] as const, ...all(inner, name)]
  })

describe('help', () => {
  test('is there for each command, names all its options, and exits 0', async () => {
    const commands = all(root)
    expect(commands.map(([name]) => name)).toEqual(
      expect.arrayContaining(['up', 'audit verify', 'policy build', 'tour']),
    )
    for (const [name] of commands) {
      let printed = ''
      const fresh = await program(name.split(' ')[0])
      const command = all(fresh).find(([words]) => words === name)![1]
      command.configureOutput({ writeOut: (text) => void (printed += text) })
      const ended = await fresh
        .parseAsync(['node', 'writ', ...name.split(' '), '--help'])
        .catch((thrown: unknown) => thrown)
      expect(ended, name).toMatchObject({ code: 'commander.helpDisplayed', exitCode: 0 })
      expect(printed, name).toContain(`Usage: writ ${name}`)
      for (const option of command.options) {
        expect(printed, name).toContain(option.long)
        expect(option.description, `${name} ${option.long}`).not.toBe('')
      }
      expect(command.description(), name).toMatch(/^[a-z]/)
    }
  })

  test('goes to standard output, for the whole and for one', async () => {
    const [whole, one, none] = await Promise.all([writ('--help'), writ('token', '--help'), writ('audit')])
    expect(whole).toMatchObject({ code: 0, err: '' })
    for (const command of root.commands) expect(whole.out).toMatch(new RegExp(`^ {2}${command.name()} `, 'm'))
    expect(one).toMatchObject({ code: 0, err: '' })
    expect(one.out).toContain('--collector')
    expect(none).toMatchObject({ code: 2, out: '' }) // Nothing was asked for, and nothing was done.
    expect(none.err).toContain('Usage: writ audit')
  })

  test('knows each command that the folder has', () => {
    const written = readdirSync('cli')
      .filter(
        (file) =>
          file.endsWith('.ts') &&
          /^export (?:async )?function \w+Command\(/m.test(readFileSync(join('cli', file), 'utf8')),
      )
      .map((file) => file.slice(0, -3))
    expect(root.commands.map((command) => command.name()).sort()).toEqual(written.sort())
  })
})

describe('a command line that is wrong exits 2, says so on standard error, and prints nothing else', () => {
  const usage = /^error usage: .+\n {2}cure: .+\n$/s

  test.each([
    'bogus',
    'token',
    'audit query --bogus',
    'audit query --limit many',
    'audit query --verdict maybe',
    'audit verify --bogus',
    'policy build --bogus',
    'kafka prepare',
    'schema Nothing',
    'bank --once --visits some',
  ])('writ %s', async (line) => {
    const { code, out, err } = await writ(...line.split(' '))
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(usage)
  })
})

describe('what is not there', () => {
  const notFound = /^error not_found: .+\n {2}cure: .+\n$/

  test.each(['check', 'control'])('a mesh file: writ %s exits 2, and names it', async (command) => {
    const { code, out, err } = await writ(command, '-f', 'nowhere/mesh.yaml')
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(notFound)
    expect(err).toContain('nowhere/mesh.yaml')
  })

  test('a log: an empty folder is not one that fails to verify', async () => {
    const empty = await temporary()
    const runs = await Promise.all([
      writ('audit', 'verify', '--log', empty),
      writ('report', '--state', empty, '--out', join(empty, 'report')),
      writ('audit', 'query', '--state', empty),
    ])
    for (const { code, out, err } of runs) {
      expect({ code, out }).toEqual({ code: 2, out: '' })
      expect(err).toMatch(/^error (usage|not_found): .+\n {2}cure: .+\n$/)
    }
    expect(readdirSync(empty)).toEqual([])
  })

  test('a folder to write to: exit 2, and the file that was to be there', async () => {
    const { code, out, err } = await writ('schema', 'Mesh', '--write', 'nowhere/schemas')
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(notFound)
    expect(err).toContain('nowhere/schemas/Mesh.json')
  })

  test('a process to ask: exit 3, and where to start one', async () => {
    const empty = await temporary()
    for (const { code, out, err } of await Promise.all([
      writ('token', 'orders', '--state', empty),
      writ('status', '--state', empty),
    ])) {
      expect({ code, out }).toEqual({ code: 3, out: '' })
      expect(err).toMatch(/^error unavailable: no control process listens on .+\n {2}cure: start one with writ up/)
    }
  })

  test('a broker: exit 3, with its address', async () => {
    const { code, out, err } = await writ('kafka', 'prepare', '--brokers', '127.0.0.1:1')
    expect({ code, out }).toEqual({ code: 3, out: '' })
    expect(err).toMatch(/^error stream_unavailable: .*127\.0\.0\.1:1.*\n {2}cure: .+\n$/)
  })
})

describe('a mesh file', () => {
  test('that is good is so in text and in JSON', async () => {
    const [text, json] = await Promise.all([
      writ('check', '-f', 'deploy/bank/mesh.yaml'),
      writ('check', '-f', 'deploy/bank/mesh.yaml', '--json'),
    ])
    expect(text).toMatchObject({ code: 0, err: '' })
    expect(text.out).toContain('deploy/bank/mesh.yaml is good: 3 workloads')
    expect(json).toMatchObject({ code: 0, err: '' })
    expect(JSON.parse(json.out)).toMatchObject({ ok: true, workloads: 3 })
  })

  test('has a schema for each kind', async () => {
    const { code, out } = await writ('schema', 'Workload')
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({ type: 'object' })
  })
})

test('a reader who has seen enough ends nothing and breaks nothing', async () => {
  const line = `"${process.execPath}" cli/main.ts schema; echo "ended $?" >&2`
  const { code, out, err } = await start(['-c', `(${line}) | head -1`], { by: ['/bin/sh'], cwd: repository }).ended
  expect({ code, out }).toEqual({ code: 0, out: '{\n' })
  expect(err).toBe('ended 0\n')
})

const capturing = ['capture', '-f', 'no.yaml', '--workload', 'web']

test.each([
  ['an address of IPv6', [...capturing, '--address', 'orders=::1', '--except-uid', '1'], /leads to ::1/],
  [
    'an address without whose calls stay',
    [...capturing, '--address', 'orders=10.0.0.1'],
    /own calls .* would come back/,
  ],
  ['names without whose questions stay', [...capturing, '--dns', '15053'], /own questions .* would come back/],
  ['a sidecar as root', ['launch', '--socket', 'web/out=127.0.0.1:1', '--uid', '0', '--', 'writ'], /would run as root/],
  ['a socket of nobody', ['launch', '--socket', '127.0.0.1:1', '--uid', '1', '--', 'writ'], /takes WORKLOAD\/LISTENER/],
  ['a socket of IPv6', ['launch', '--socket', 'web/out=[::1]:1', '--uid', '1', '--', 'writ'], /takes an IPv4 address/],
  [
    'what is not there',
    ['launch', '--socket', 'web/out=127.0.0.1:1', '--uid', '1', '--', 'no-such'],
    /no command no-such/,
  ],
] as const)('capture and launch refuse %s', async (_, words, expected) => {
  const fresh = await program(words[0])
  for (const one of [fresh, ...fresh.commands]) one.exitOverride().configureOutput({ writeErr: () => {} })
  await expect(fresh.parseAsync(['node', 'writ', ...words])).rejects.toThrow(expected)
})
