/** What a registry says of a bundle: references, manifests and challenges of the OCI distribution specification 1.1. */

import { WritError } from '../core/fault.ts'
import { isObject, type Json, parseJson } from '../core/json.ts'

/** `org/bank:1.2`, or `org/bank@sha256:…`, which never changes. */
export interface OciReference {
  readonly repository: string
  /** Tag or digest. */
  readonly reference: string
}

/** Distribution specification, "Pulling manifests". */
const repository = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const tag = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/
const digest = /^sha256:[0-9a-f]{64}$/

/** Undefined where the text is no reference. Without a tag it is `latest`, as everywhere. */
export function parseReference(text: string): OciReference | undefined {
  const at = text.indexOf('@')
  const colon = text.lastIndexOf(':')
  const cut = at >= 0 ? at : colon > text.lastIndexOf('/') ? colon : text.length
  const name = text.slice(0, cut)
  const reference = cut === text.length ? 'latest' : text.slice(cut + 1)
  const good = name.length <= 255 && repository.test(name) && (at >= 0 ? digest : tag).test(reference)
  return good ? { repository: name, reference } : undefined
}

export const isDigest = (text: string): boolean => digest.test(text)

/** A manifest's media type, and the one layer type that OPA pushes bundles as. */
export const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip'

export interface OciLayer {
  readonly digest: string
  readonly size: number
}

/** The layer of a manifest that is the bundle. Throws `policy_invalid`. */
export function bundleLayer(manifest: string): OciLayer {
  const value = parseJson(manifest)
  const layers = isObject(value) ? value['layers'] : undefined
  if (!Array.isArray(layers)) {
    throw invalid(
      isObject(value) && value['manifests'] ? 'it is an index of images, not one bundle' : 'it has no layers',
    )
  }
  const found = (layers as readonly Json[]).flatMap((layer) => layerOf(layer) ?? [])
  if (found.length === 1) return found[0]!
  throw invalid(`it has ${found.length} layers of type ${layerType}, where one is the bundle`)
}

function layerOf(layer: Json): OciLayer | undefined {
  if (!isObject(layer) || layer['mediaType'] !== layerType) return undefined
  const { digest: named, size } = layer
  if (typeof named !== 'string' || !digest.test(named)) throw invalid('its layer has no SHA-256 digest')
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw invalid('its layer has no size')
  return { digest: named, size }
}

export type Challenge =
  | { readonly scheme: 'basic' }
  | { readonly scheme: 'bearer'; readonly realm: string; readonly service?: string; readonly scope?: string }

/** What `www-authenticate` asks for; undefined where it is neither of the two that registries use (RFC 9110 section 11.6.1). */
export function parseChallenge(field: string): Challenge | undefined {
  const scheme = /^([A-Za-z]+)(?:\s|$)/.exec(field)?.[1]?.toLowerCase()
  if (scheme === 'basic') return { scheme }
  if (scheme !== 'bearer' || field.length > 4096) return undefined
  const parameters = new Map<string, string>()
  for (const [, name, value] of field.matchAll(/([A-Za-z_-]{1,32})="([^"\\]*)"/g)) {
    if (!parameters.has(name!.toLowerCase())) parameters.set(name!.toLowerCase(), value!)
  }
  const realm = parameters.get('realm')
  if (realm === undefined) return undefined
  const [service, scope] = [parameters.get('service'), parameters.get('scope')]
  return { scheme, realm, ...(service === undefined ? {} : { service }), ...(scope === undefined ? {} : { scope }) }
}

const invalid = (why: string): WritError =>
  new WritError('policy_invalid', `the manifest is of no bundle: ${why}`, {
    cure: `Push the bundle as one layer: oras push REGISTRY/REPOSITORY:TAG bundle.tar.gz:${layerType}`,
  })
