/** `writ policy init`: a policy to begin with, copied from one that comes with this package. */

import { cp, mkdir, readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { Command } from 'commander'
import { messageOf, WritError } from '../core/fault.ts'
import { startersFolder } from '../engine/node/library.ts'
import { bundleFile } from '../engine/node/open.ts'

interface InitFlags {
  readonly starter: string
  readonly policies: string
  readonly list?: boolean
}

export const initCommand = (): Command =>
  new Command('init')
    .argument('[name]', 'name of the policy, which is that of its folder and of its bundle')
    .description('make a new policy of a starter, with data and tests, and say what to do next')
    .option('--starter <name>', 'which one to begin with; --list names them', 'deny')
    .option('--policies <dir>', 'folder of policies to make it in', 'policies')
    .option('--list', 'name the starters and make nothing')
    .action(init)

async function init(name: string | undefined, flags: InitFlags): Promise<void> {
  const root = await startersFolder()
  const starters = (await readdir(root)).toSorted()
  if (flags.list) {
    for (const starter of starters) process.stdout.write(`${starter.padEnd(22)}${await titleOf(join(root, starter))}\n`)
    return
  }
  if (name === undefined) throw new WritError('usage', 'a new policy needs a name', { cure: 'writ policy init NAME' })
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)) {
    throw new WritError('usage', `${JSON.stringify(name)} is no name for a policy`, {
      cure: 'take letters, digits, dots, dashes and underscores, 63 at most',
    })
  }
  if (!starters.includes(flags.starter)) {
    throw new WritError('not_found', `there is no starter ${JSON.stringify(flags.starter)}`, {
      cure: `take one of ${starters.join(', ')}`,
    })
  }
  const folder = join(flags.policies, name)
  await copyNew(join(root, flags.starter), folder)
  process.stdout.write(nextSteps(folder, flags.starter))
}

/** Never over what is there. */
async function copyNew(from: string, to: string): Promise<void> {
  await mkdir(dirname(resolve(to)), { recursive: true })
  await mkdir(to).catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
    throw new WritError('in_use', `${to} is there already`, { cure: 'take another name, or another --policies', cause })
  })
  try {
    await cp(from, to, { recursive: true, filter: (path) => basename(path) !== bundleFile })
  } catch (cause) {
    throw new WritError('unavailable', `${to} cannot be written: ${messageOf(cause)}`, { cause })
  }
}

const titleOf = async (starter: string): Promise<string> =>
  /^# title: (.*)$/m.exec(await readFile(join(starter, 'authz.rego'), 'utf8'))?.[1] ?? ''

const nextSteps = (folder: string, starter: string): string => `${folder}: a policy from the starter ${starter}

Next:
  1. say in ${join(folder, 'data.json')} what is yours: the trust domain first
  2. try it:   writ policy test ${folder}
  3. build it: writ policy build ${folder}
  4. bind it in the mesh file, as a PolicyBinding with
       bundle: ${basename(folder)}
       entrypoint: writ/authz/result
`
