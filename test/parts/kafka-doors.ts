/** Listeners of a broker for clients that prove who they are: TLS with SASL, and mutual TLS. Certificates by openssl. */

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './child.ts'
import { freePort } from './ports.ts'

export interface KafkaDoors {
  /** `127.0.0.1:port`, TLS and then SCRAM-SHA-512 or PLAIN, with the names and passwords of `users`. */
  readonly sasl: string
  /** `127.0.0.1:port`, TLS with a client's certificate; `client` is the one of `User:proxy-by-certificate`. */
  readonly mutual: string
  readonly caFile: string
  readonly client: { readonly certFile: string; readonly keyFile: string }
  /** `admin` may do everything, the others what an ACL says. */
  readonly users: Readonly<Record<'admin' | 'proxy' | 'auditor', string>>
  readonly properties: Readonly<Record<string, string>>
  /** Further words of the command that formats the broker's folder. */
  readonly format: readonly string[]
}

const users = { admin: 'admin-password', proxy: 'proxy-password', auditor: 'auditor-password' }

export async function openDoors(folder: string, port: number, controllerPort: number): Promise<KafkaDoors> {
  const [saslPort, mutualPort] = [await freePort(), await freePort()]
  const ca = await authority(folder)
  const server = await certificate(folder, 'server', 'kafka')
  const client = await certificate(folder, 'client', 'proxy-by-certificate')
  const store = join(folder, 'server-store.pem')
  await writeFile(store, (await readFile(server.keyFile, 'utf8')) + (await readFile(server.certFile, 'utf8')))
  const listeners = [
    `PLAINTEXT://127.0.0.1:${port}`,
    `SASL_SSL://127.0.0.1:${saslPort}`,
    `SSL://127.0.0.1:${mutualPort}`,
  ]
  const named = Object.entries(users).map(([name, password]) => `user_${name}="${password}"`)
  const modules = 'org.apache.kafka.common.security'
  return {
    sasl: `127.0.0.1:${saslPort}`,
    mutual: `127.0.0.1:${mutualPort}`,
    caFile: ca,
    client,
    users,
    properties: {
      listeners: [...listeners, `CONTROLLER://127.0.0.1:${controllerPort}`].join(','),
      'advertised.listeners': listeners.join(','),
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL',
      'sasl.enabled.mechanisms': 'SCRAM-SHA-512,PLAIN',
      'listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config': `${modules}.scram.ScramLoginModule required;`,
      'listener.name.sasl_ssl.plain.sasl.jaas.config': `${modules}.plain.PlainLoginModule required ${named.join(' ')};`,
      'listener.name.ssl.ssl.client.auth': 'required',
      'ssl.keystore.type': 'PEM',
      'ssl.keystore.location': store,
      'ssl.truststore.type': 'PEM',
      'ssl.truststore.location': ca,
      'ssl.principal.mapping.rules': 'RULE:^CN=([^,]+).*$/$1/,DEFAULT',
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'super.users': 'User:ANONYMOUS;User:admin',
    },
    format: Object.entries(users).flatMap(([name, password]) => [
      '--add-scram',
      `SCRAM-SHA-512=[name=${name},password=${password}]`,
    ]),
  }
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']

async function authority(folder: string): Promise<string> {
  const [key, cert] = [join(folder, 'ca-key.pem'), join(folder, 'ca.pem')]
  await run('openssl', ['req', '-x509', ...newKey, '-keyout', key, '-out', cert, '-subj', '/CN=test authority'])
  return cert
}

async function certificate(folder: string, file: string, name: string) {
  const [keyFile, certFile] = [join(folder, `${file}-key.pem`), join(folder, `${file}.pem`)]
  await run('openssl', [
    ...['req', '-x509', ...newKey, '-keyout', keyFile, '-out', certFile, '-subj', `/CN=${name}`],
    ...['-CA', join(folder, 'ca.pem'), '-CAkey', join(folder, 'ca-key.pem')],
    ...['-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost', '-addext', 'basicConstraints=critical,CA:FALSE'],
  ])
  return { certFile, keyFile }
}
