/** An authority's state as a file that only named people can open (age), and back. */

import { armor, Decrypter, Encrypter } from 'age-encryption'
import { messageOf, WritError } from '../../core/fault.ts'
import { isObject, parseJson } from '../../core/json.ts'
import { parseTrustDomain, type TrustDomain } from '../../core/spiffe.ts'
import type { Authorities } from '../authorities.ts'
import { authoritiesText, type HeldAuthority, readAuthorities } from './authority-state.ts'
import type { StoredDocument } from './document.ts'
import type { KeySeal } from './root-keys.ts'

/** A restored bundle must be newer than any that was out before, and steps that the backup does not know were few. */
const sequenceLead = 1000

/**
 * The state of a store, its keys opened, encrypted to `recipients` (`age1…`), as ASCII armor. A root's key that lies in a
 * hardware module stays there: the backup has its name. Rejects with `not_found` where there is no authority.
 */
export async function backupAuthority(
  store: StoredDocument,
  seal: KeySeal,
  recipients: readonly string[],
): Promise<{ readonly file: string; readonly trustDomain: TrustDomain; readonly authorities: Authorities }> {
  const found = await store.read()
  if (!found) throw new WritError('not_found', 'there is no authority yet', { cure: 'start the control plane once' })
  const trustDomain = domainOf(found.text)
  const authorities = readAuthorities(found.text, trustDomain)
  const encrypter = new Encrypter()
  for (const recipient of recipients) {
    try {
      encrypter.addRecipient(recipient)
    } catch (cause) {
      throw new WritError('usage', `${recipient} is no age recipient: ${messageOf(cause)}`, {
        cure: 'give age1…, as age-keygen prints it',
      })
    }
  }
  const open = authoritiesText(trustDomain, found.version, withKeys(authorities, seal.open))
  return { file: armor.encode(await encrypter.encrypt(open)), trustDomain, authorities }
}

/**
 * Puts a backup in a store's place. `identities`: `AGE-SECRET-KEY-1…`. Rejects with `in_use` where the store holds an
 * authority and `replace` is not set, with `forbidden` where no identity opens the file.
 */
export async function restoreAuthority(
  file: string,
  identities: readonly string[],
  store: StoredDocument,
  seal: KeySeal,
  replace: boolean,
): Promise<{ readonly trustDomain: TrustDomain; readonly authorities: Authorities }> {
  const text = await decrypted(file, identities)
  const trustDomain = domainOf(text)
  const held = readAuthorities(text, trustDomain)
  const found = await store.read()
  if (found && !replace) {
    throw new WritError('in_use', 'there is an authority already', {
      cure: 'give --replace where it is to go; what it issued since the backup is then known to nobody',
    })
  }
  const sequence = held.sequence + sequenceLead
  const authorities = { ...withKeys(held, seal.seal), sequence }
  const version = found?.version ?? 0
  if (await store.swap(version, authoritiesText(trustDomain, version + 1, authorities)))
    return { trustDomain, authorities }
  throw new WritError('in_use', 'somebody changed the authority meanwhile', { cure: 'stop the control plane first' })
}

/** Every key that lies in the state, turned; names of keys elsewhere stay as they are. */
const withKeys = (
  authorities: Authorities<HeldAuthority>,
  turn: (key: string) => string,
): Authorities<HeldAuthority> => ({
  ...authorities,
  list: authorities.list.map((one) => ({
    ...one,
    rootKey: one.rootKey.startsWith('-----BEGIN ') ? turn(one.rootKey) : one.rootKey,
    issuerKey: turn(one.issuerKey),
    tokenKey: turn(one.tokenKey),
    former: one.former.map((former) => ({
      ...former,
      ...(former.issuerKey !== undefined && { issuerKey: turn(former.issuerKey) }),
    })),
  })),
})

async function decrypted(file: string, identities: readonly string[]): Promise<string> {
  try {
    const decrypter = new Decrypter()
    for (const identity of identities) decrypter.addIdentity(identity)
    return await decrypter.decrypt(armor.decode(file), 'text')
  } catch (cause) {
    throw new WritError('forbidden', `the backup cannot be opened: ${messageOf(cause)}`, {
      cure: 'give the age identity of one of those it was encrypted to',
      cause,
    })
  }
}

function domainOf(text: string): TrustDomain {
  const value = parseJson(text)
  const name = isObject(value) ? value['trust_domain'] : undefined
  const trustDomain = typeof name === 'string' ? parseTrustDomain(name) : undefined
  if (trustDomain) return trustDomain
  throw new WritError('certificate_invalid', 'this is not the state of an authority', { cure: 'give another file' })
}
