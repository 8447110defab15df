/** Where the keys of roots are made, as the mesh file and the environment say. */

import { readFile } from 'node:fs/promises'
import { credentialsIn } from '../../audit/node/objects/place.ts'
import { signerOf } from '../../audit/node/objects/s3.ts'
import { awsKmsRootKeys } from '../../ca/node/aws-kms.ts'
import { azureRootKeys, azureToken } from '../../ca/node/azure-keys.ts'
import { gcpKmsRootKeys, gcpToken } from '../../ca/node/gcp-kms.ts'
import { pkcs11RootKeys } from '../../ca/node/pkcs11.ts'
import type { RootKeys } from '../../ca/node/root-keys.ts'
import type { MeshSettings } from '../../control/mesh/settings.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import { random } from './machine.ts'

export function rootKeysOf(places: NonNullable<MeshSettings['rootKeys']>): RootKeys {
  const { pkcs11, awsKms, gcpKms, azureKeyVault } = places
  if (pkcs11) {
    return pkcs11RootKeys({ ...pkcs11, pin: inEnvironment(pkcs11.pinEnv, 'the PIN of the token should be') }, random)
  }
  if (gcpKms) return gcpKmsRootKeys({ ...gcpKms, random, token: () => gcpToken(process.env['GCE_METADATA_HOST']) })
  if (azureKeyVault) {
    return azureRootKeys({ ...azureKeyVault, random, token: () => azureTokenHere(azureKeyVault.vault) })
  }
  const { region, endpoint } = awsKms! // The schema wants one of them.
  return awsKmsRootKeys({
    ...{ region, endpoint },
    sign: (...request) => {
      const credentials = credentialsIn(process.env)
      if (credentials) return signerOf({ region, credentials }, 'kms')(...request)
      throw new WritError('config_invalid', 'nothing says in whose name AWS KMS is asked', {
        cure: 'export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN)',
      })
    },
  })
}

/** The token's file is read anew each time: the platform writes a fresh one before the last one ends. */
async function azureTokenHere(vault: string): Promise<string> {
  const { AZURE_FEDERATED_TOKEN_FILE: file, AZURE_AUTHORITY_HOST, AZURE_CLIENT_ID, AZURE_TENANT_ID } = process.env
  const federatedToken = file
    ? await readFile(file, 'utf8').catch((cause: unknown) => {
        throw new WritError('unauthorized', `the token of this workload cannot be read: ${messageOf(cause)}`, {
          cure: 'see AZURE_FEDERATED_TOKEN_FILE',
          cause,
        })
      })
    : undefined
  return azureToken(vault, {
    ...{ AZURE_AUTHORITY_HOST, AZURE_CLIENT_ID, AZURE_TENANT_ID },
    federatedToken: federatedToken?.trim(),
  })
}

/** Throws `config_invalid` where the environment has no such variable; `what` says what it is for. */
export function inEnvironment(name: string, what: string): string {
  const value = process.env[name]
  if (value) return value
  throw new WritError('config_invalid', `the environment has no ${name}, where ${what}`, {
    cure: `export ${name}, or take what names it out of the mesh file`,
  })
}
