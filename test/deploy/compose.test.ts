import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { program } from '../../cli/main.ts'
import { compileMesh } from '../../control/mesh/compile.ts'
import { readPolicyFolder } from '../../engine/node/open.ts'
import { readCompose } from '../parts/compose.ts'
import { needs } from '../parts/needs.ts'

const test = needs('compose')

const file = 'deploy/compose.yaml'
const read = () => readCompose(file)

test('the Compose file is one, and the password has to be given', async () => {
  const { services } = await read()
  expect(Object.keys(services).sort()).toEqual([
    ...[
      'auditor',
      'control',
      'kafka',
      'orders',
      'orders-proxy',
      'postgres',
      'storefront',
      'storefront-proxy',
      'tokens',
    ],
  ])
  for (const name of ['postgres', 'auditor']) {
    expect(JSON.stringify(services[name]!.environment)).toContain('${WRIT_POSTGRES_PASSWORD:?')
  }
  await expect(readCompose('package.json')).rejects.toThrow('additional properties')
})

test('every process of ours runs without privileges, and every file it mounts is there', async () => {
  const { services } = await read()
  const ours = Object.entries(services).filter(([, service]) => service.image === 'writ')
  expect(ours).toHaveLength(5)
  for (const [name, service] of ours) {
    expect(service, name).toMatchObject({ read_only: true, cap_drop: ['ALL'] })
    expect(existsSync(join(service.build!.context, service.build!.dockerfile)), name).toBe(true)
    for (const { type, source } of service.volumes ?? [])
      if (type === 'bind') expect(existsSync(source), name).toBe(true)
  }
})

test('the Compose file gives each command options that it takes, and all that it insists on', async () => {
  const { services } = await read()
  const commands = Object.values(services).flatMap(({ image, command }) =>
    image === 'writ' && command && !command[0]!.includes('\n') ? [command] : [],
  )
  expect(commands.map(([name]) => name).sort()).toEqual(['auditor', 'control', 'proxy', 'proxy'])
  for (const [name, ...given] of commands) {
    const taken = (await program(name)).commands.find((command) => command.name() === name)!.options
    const names = given.map((option) => option.split('=')[0])
    expect(taken.map((option) => option.long)).toEqual(expect.arrayContaining(names))
    expect(names).toEqual(expect.arrayContaining(taken.flatMap(({ mandatory, long }) => (mandatory ? [long] : []))))
  }
})

test('the mesh of the Compose file is good and names its workloads as the containers are named', async () => {
  const bundles = (await readPolicyFolder('policies')).map(({ ref }) => ref)
  const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()
  const compiled = compileMesh(readFileSync('deploy/mesh.yaml', 'utf8'), { bundles, sha256 })
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems, null, 2))
  expect(compiled.warnings).toEqual([])

  const { services } = await read()
  const [{ endpoints } = { endpoints: [] }] = compiled.snapshot.services
  expect(endpoints.map(({ address }) => address)).toEqual(['orders'])
  for (const { name } of compiled.snapshot.workloads) {
    expect(services[`${name}-proxy`]).toMatchObject({ network_mode: `service:${name}` })
  }
})
