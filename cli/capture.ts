/** `writ capture`: calls of a program that knows nothing of the mesh reach its sidecar. Prints, applies or undoes how. */

import { spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { isIPv4, isIPv6 } from 'node:net'
import { Command, InvalidArgumentError, Option } from 'commander'
import {
  type Capture,
  captureOf,
  hostsLines,
  nftRules,
  nftUndo,
  withHosts,
  withoutHosts,
} from '../control/mesh/capture.ts'
import { messageOf, WritError } from '../core/fault.ts'
import { number, userNumber } from './options.ts'
import { compileMeshOnly, readMesh } from './wire/config.ts'
import { sha256 } from './wire/machine.ts'

interface Options {
  readonly file?: string
  readonly workload: string
  readonly hosts: string
  readonly address: readonly ServiceAddress[]
  readonly exceptUid?: number
  readonly dns?: number
  readonly transparent?: boolean
  readonly apply?: boolean
  readonly undo?: boolean
}

interface ServiceAddress {
  readonly service: string
  readonly address: string
}

export function captureCommand(): Command {
  return new Command('capture')
    .description(
      "let a workload's calls by name reach its sidecar: lines of the hosts file, and redirects of the kernel",
    )
    .requiredOption('--workload <name>', 'whose sidecar takes the calls')
    .option('-f, --file <mesh.yaml>', 'the mesh file; not needed with --undo')
    .option('--hosts <file>', 'the hosts file', '/etc/hosts')
    .option(
      '--address <service=ip>',
      'an address by which callers know a service already; may be repeated',
      address,
      [],
    )
    .option('--transparent', 'all services go to outbound.port, as writ launch --transparent opens it')
    .option('--dns <port>', "questions of DNS go to the sidecar's --dns, in place of lines of the hosts file", number)
    .option('--except-uid <uid>', 'whose calls are not redirected: the user that the sidecar runs as', userNumber)
    .option('--apply', 'put it in force, in place of what was; needs root')
    .addOption(new Option('--undo', 'take it back; needs root').conflicts('apply'))
    .action(run)
}

function address(text: string, before: readonly ServiceAddress[]): readonly ServiceAddress[] {
  const [service = '', ip = '', ...more] = text.split('=')
  if (service !== '' && isIPv6(ip) && more.length === 0) {
    throw new InvalidArgumentError('takes IPv4 alone: a redirect of IPv6 leads to ::1, where no sidecar listens')
  }
  if (service === '' || !isIPv4(ip) || more.length > 0) throw new InvalidArgumentError('takes SERVICE=IPv4')
  return [...before, { service, address: ip }]
}

async function run(options: Options): Promise<void> {
  const { workload, hosts: file } = options
  if (options.undo) {
    await nft(`${nftUndo(workload).join('\n')}\n`)
    await change(file, (text) => withoutHosts(text, workload))
    process.stdout.write(`${workload} is not captured any more\n`)
    return
  }
  if ((options.address.length > 0 || options.dns !== undefined) && options.exceptUid === undefined) {
    const cure = 'add --except-uid with the user that the sidecar runs as'
    const own = options.dns === undefined ? 'calls to such an address' : 'questions to the resolvers'
    throw new WritError('usage', `the sidecar's own ${own} would come back to it`, { cure })
  }
  if (options.transparent && options.address.length > 0) {
    const cure = 'leave out one of the two'
    throw new WritError('usage', 'what is sent to --address leaves this host, where --transparent does not reach', {
      cure,
    })
  }
  const capture = await read(options)
  const rules = nftRules(capture, {
    exceptUid: options.exceptUid,
    dnsPort: options.dns,
    transparent: options.transparent,
  })
  const lines = options.dns === undefined
  if (options.apply) {
    await nft(rules) // First, since names that lead nowhere would break what works.
    await change(file, (text) => (lines ? withHosts(text, capture) : withoutHosts(text, workload)))
    process.stdout.write(`${workload} is captured: ${capture.redirects.length} addresses\n`)
  } else process.stdout.write(`${lines ? `# ${file}\n${hostsLines(capture)}\n` : ''}# nft -f\n${rules}`)
  for (const { service, why } of capture.left) process.stderr.write(`warn capture: ${service} ${why}\n`)
}

async function read(options: Options): Promise<Capture> {
  const { file, workload, transparent } = options
  if (file === undefined) throw new WritError('usage', 'no mesh file is named', { cure: 'give it with -f' })
  const { snapshot } = compileMeshOnly(await readMesh(file), file)
  return captureOf(snapshot, workload, sha256, { addresses: options.address, transparent })
}

/** Written in place: in containers the hosts file is mounted by itself, and cannot be renamed over. */
async function change(file: string, to: (text: string) => string): Promise<void> {
  try {
    const text = await readFile(file, 'utf8')
    const next = to(text)
    if (next !== text) await writeFile(file, next)
  } catch (thrown) {
    throw new WritError('unavailable', `${file} cannot be changed: ${messageOf(thrown)}`, {
      cure: 'run this as root, or name another file with --hosts',
    })
  }
}

function nft(script: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('nft', ['-f', '-'], {
      stdio: ['pipe', 'ignore', 'pipe'],
      env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
    })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(0, 2000)
    })
    const fail = (text: string, cure: string): void => reject(new WritError('unavailable', text, { cure }))
    child.on('error', (error) => fail(`nft cannot be run: ${error.message}`, 'install nftables'))
    child.on('close', (code) => {
      if (code === 0) resolve()
      else fail(`nft ended with ${code}: ${said.trim()}`, 'run this as root, in the network namespace of the workload')
    })
    child.stdin.on('error', () => {}) // Its end says why.
    child.stdin.end(script)
  })
}
