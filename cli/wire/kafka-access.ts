/** How this machine proves itself to Kafka: what the mesh file names, read from its own disk and environment. */

import { readFile } from 'node:fs/promises'
import type { KafkaCredentials } from '../../audit/node/kafka.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { KafkaPlace } from '../../core/snapshot.ts'

/** Largest file of certificates, in bytes. */
const maxPemBytes = 1024 ** 2
/** Longest name or password, in characters. */
const maxSecret = 1024

/** Reads everything once, so that what is missing is told at the start, and again before each new connection. */
export async function kafkaAccess(
  place: Pick<KafkaPlace, 'tls' | 'sasl'>,
  env: NodeJS.ProcessEnv = process.env,
): Promise<() => Promise<KafkaCredentials>> {
  const read = () => credentialsOf(place, env)
  await read()
  return read
}

async function credentialsOf(
  { tls, sasl }: Pick<KafkaPlace, 'tls' | 'sasl'>,
  env: NodeJS.ProcessEnv,
): Promise<KafkaCredentials> {
  return {
    ...(tls && { tls: tls === true ? true : await pemTexts(tls) }),
    ...(sasl && {
      sasl: {
        mechanism: sasl.mechanism,
        username: sasl.username ?? variable('usernameEnv', sasl.usernameEnv, env),
        password:
          sasl.passwordFile === undefined
            ? variable('passwordEnv', sasl.passwordEnv, env)
            : await passwordIn(sasl.passwordFile),
      },
    }),
  }
}

async function pemTexts({ caFile, certFile, keyFile }: Exclude<KafkaPlace['tls'], true | undefined>) {
  return {
    ...(caFile !== undefined && { ca: await pem('caFile', caFile, 'CERTIFICATE') }),
    ...(certFile !== undefined && { cert: await pem('certFile', certFile, 'CERTIFICATE') }),
    ...(keyFile !== undefined && { key: await pem('keyFile', keyFile, 'PRIVATE KEY') }),
  }
}

async function pem(field: string, path: string, label: string): Promise<string> {
  const text = await contentOf(`tls.${field}`, path, maxPemBytes)
  if (new RegExp(`-----BEGIN ([A-Z]+ )?${label}-----`).test(text)) return text
  throw wrong(`tls.${field}: ${path} has no PEM block ${label}`, `Write one into it, or name another file.`)
}

async function passwordIn(path: string): Promise<string> {
  const text = (await contentOf('sasl.passwordFile', path, maxSecret)).replace(/\r?\n$/, '')
  // A key or a table of accounts is many lines: nobody gets those shown to a broker by naming them here.
  if (text !== '' && !/[\r\n]/.test(text)) return text
  throw wrong(`sasl.passwordFile: ${path} is not one line`, 'Write the password into it, and nothing else.')
}

function variable(field: string, name: string | undefined, env: NodeJS.ProcessEnv): string {
  const value = name === undefined ? undefined : env[name]
  if (value !== undefined && value !== '' && value.length <= maxSecret) return value
  const problem = value ? `holds more than ${maxSecret} characters` : 'is not set'
  throw wrong(`sasl.${field}: the environment variable ${name} ${problem}`, 'Set it where this process starts.')
}

async function contentOf(field: string, path: string, maxBytes: number): Promise<string> {
  const text = await readFile(path, 'utf8').catch((thrown: unknown) => {
    throw wrong(`${field}: ${messageOf(thrown)}`, 'Put the file on this machine, readable for this process.')
  })
  if (Buffer.byteLength(text) <= maxBytes) return text
  throw wrong(`${field}: ${path} is larger than ${maxBytes} bytes`, 'Name the file that is meant.')
}

const wrong = (problem: string, cure: string): WritError =>
  new WritError('config_invalid', `audit.stream.kafka.${problem}`, { cure })
