/** An issuer and two SVIDs in PEM files, for every proxy of a run alike: P-256, as the mesh issues them. */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../test/parts/child.ts'

export interface Certificates {
  readonly roots: string
  readonly caller: { readonly cert: string; readonly key: string }
  readonly server: { readonly cert: string; readonly key: string }
}

export const callerId = 'spiffe://bank.example/storefront'
export const serverId = 'spiffe://bank.example/orders'

export async function makeCertificates(folder: string): Promise<Certificates> {
  const file = (name: string): string => join(folder, name)
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-days', '1']
  const make = async (name: string, subject: string, extensions: readonly string[], issuer: readonly string[]) => {
    const config = file(`${name}.cnf`)
    await writeFile(
      config,
      ['[req]', 'distinguished_name=dn', 'x509_extensions=ext', '[dn]', '[ext]', ...extensions].join('\n'),
    )
    const out = ['-keyout', file(`${name}.key`), '-out', file(`${name}.pem`)]
    await run('openssl', ['req', '-x509', '-config', config, ...key, '-subj', subject, ...out, ...issuer])
    return { cert: file(`${name}.pem`), key: file(`${name}.key`) }
  }
  const root = await make(
    'root',
    '/O=bench',
    [
      'basicConstraints=critical,CA:true',
      'keyUsage=critical,keyCertSign,cRLSign',
      'subjectAltName=URI:spiffe://bank.example',
    ],
    [],
  )
  const leaf = (name: string, id: string) =>
    make(
      name,
      `/O=${name}`,
      [
        ...['basicConstraints=critical,CA:false', 'keyUsage=critical,digitalSignature'],
        ...['extendedKeyUsage=serverAuth,clientAuth', `subjectAltName=URI:${id}`],
      ],
      ['-CA', root.cert, '-CAkey', root.key],
    )
  return { roots: root.cert, caller: await leaf('caller', callerId), server: await leaf('server', serverId) }
}
