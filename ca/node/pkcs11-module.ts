/** As much of PKCS#11 (OASIS, v2.40) as a root's key needs: P-256 pairs that are made in the module and never leave it. */

import { WritError } from '../../core/fault.ts'

/** The calls of a module by which keys are made, found, used and destroyed. All of them throw `unavailable`. */
export interface Pkcs11Session {
  /** The uncompressed point of the new pair's public half. */
  generate(id: Uint8Array, label: string): Uint8Array
  /** The same of a pair that is there; undefined where none has this id. */
  pointOf(id: Uint8Array): Uint8Array | undefined
  /** ECDSA over 32 bytes of a digest: r and s, 64 bytes. */
  sign(id: Uint8Array, digest: Uint8Array): Uint8Array
  destroy(id: Uint8Array): void
  close(): void
}

export interface Pkcs11Place {
  /** Path of the module's library. */
  readonly module: string
  /** Label of the token. */
  readonly token: string
  readonly pin: string
}

// Numbers of the standard's header, section by section as they are used.
const [cko, cka, ckm] = [
  { public: 2n, private: 3n },
  {
    ...{ class: 0n, token: 1n, private: 2n, label: 3n, keyType: 0x100n, id: 0x102n },
    ...{ sensitive: 0x103n, sign: 0x108n, verify: 0x10an, extractable: 0x162n, params: 0x180n, point: 0x181n },
  },
  { generate: 0x1040n, ecdsa: 0x1041n },
]
const keyTypeEc = 3n
const flagsReadWrite = 6n // CKF_SERIAL_SESSION and CKF_RW_SESSION
const userNormal = 1n
const alreadyInitialised = 0x191
const alreadyLoggedIn = 0x100
/** prime256v1, as an encoded OID (RFC 5480 section 2.1.1.1). */
const p256 = Uint8Array.of(6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7)

type Attribute = readonly [type: bigint, value: Uint8Array | bigint | boolean]

/** A module speaks C, and its addresses are only good in this process: koffi is loaded where a module is asked for. */
export async function openPkcs11({ module, token, pin }: Pkcs11Place): Promise<Pkcs11Session> {
  const koffi = await loadKoffi()
  const library = attempted(module, () => koffi.load(module))
  const call = (name: string, ...types: readonly string[]) => {
    const bound = attempted(module, () => library.func(name, 'ulong', [...types]))
    return (...values: readonly unknown[]): number => Number(bound(...values))
  }
  const ok = (name: string, code: number, ...also: readonly number[]): void => {
    if (code === 0 || also.includes(code)) return
    throw new WritError('unavailable', `${module} answered ${name} with 0x${code.toString(16)}`, {
      cure: 'see the codes of PKCS#11 section 11.1; token, PIN and the right to make keys are what is wrong most often',
    })
  }
  const ulong = (value: bigint): Buffer => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64LE(value)
    return bytes
  }
  /** CK_ATTRIBUTE[]; `held` keeps what it points at alive for as long as the call. */
  const template = (attributes: readonly Attribute[]) => {
    const held = attributes.map(([, value]) =>
      typeof value === 'bigint'
        ? ulong(value)
        : typeof value === 'boolean'
          ? Buffer.of(value ? 1 : 0)
          : Buffer.from(value),
    )
    return attributes.map(([type], i) => ({ type, pValue: held[i]!, ulValueLen: held[i]!.length }))
  }
  nameStructs(koffi)

  const initialise = call('C_Initialize', 'void *')
  const slotList = call('C_GetSlotList', 'uchar', 'void *', 'void *')
  const tokenInfo = call('C_GetTokenInfo', 'ulong', 'void *')
  const openSession = call('C_OpenSession', 'ulong', 'ulong', 'void *', 'void *', 'void *')
  const login = call('C_Login', 'ulong', 'ulong', 'void *', 'ulong')
  const generatePair = call(
    'C_GenerateKeyPair',
    ...['ulong', 'writ_mechanism *', 'writ_attribute *', 'ulong', 'writ_attribute *', 'ulong', 'void *', 'void *'],
  )
  const findInit = call('C_FindObjectsInit', 'ulong', 'writ_attribute *', 'ulong')
  const find = call('C_FindObjects', 'ulong', 'void *', 'ulong', 'void *')
  const findFinal = call('C_FindObjectsFinal', 'ulong')
  const attributeValue = call('C_GetAttributeValue', 'ulong', 'ulong', 'writ_attribute *', 'ulong')
  const signInit = call('C_SignInit', 'ulong', 'writ_mechanism *', 'ulong')
  const signOnce = call('C_Sign', 'ulong', 'void *', 'ulong', 'void *', 'void *')
  const destroyObject = call('C_DestroyObject', 'ulong', 'ulong')
  const closeSession = call('C_CloseSession', 'ulong')

  ok('C_Initialize', initialise(null), alreadyInitialised)
  const session = begin()

  function begin(): bigint {
    const count = Buffer.alloc(8)
    ok('C_GetSlotList', slotList(1, null, count))
    const slots = Buffer.alloc(Number(count.readBigUInt64LE()) * 8)
    ok('C_GetSlotList', slotList(1, slots, count))
    for (let at = 0; at < slots.length; at += 8) {
      const slot = slots.readBigUInt64LE(at)
      const info = Buffer.alloc(512) // CK_TOKEN_INFO begins with the label, 32 characters filled up with blanks.
      if (tokenInfo(slot, info) !== 0 || info.toString('utf8', 0, 32).trimEnd() !== token) continue
      const handle = Buffer.alloc(8)
      ok('C_OpenSession', openSession(slot, flagsReadWrite, null, null, handle))
      const opened = handle.readBigUInt64LE()
      const bytes = Buffer.from(pin, 'utf8')
      ok('C_Login', login(opened, userNormal, bytes, bytes.length), alreadyLoggedIn)
      return opened
    }
    throw new WritError('not_found', `${module} has no token labelled ${token}`, {
      cure: 'name a token that is initialised, as `pkcs11-tool --list-slots` shows it',
    })
  }

  const objects = (kind: bigint, id: Uint8Array): readonly bigint[] => {
    ok(
      'C_FindObjectsInit',
      findInit(
        session,
        template([
          [cka.class, kind],
          [cka.id, id],
        ]),
        2,
      ),
    )
    const handles = Buffer.alloc(8 * 4)
    const count = Buffer.alloc(8)
    ok('C_FindObjects', find(session, handles, 4, count))
    ok('C_FindObjectsFinal', findFinal(session))
    return Array.from({ length: Number(count.readBigUInt64LE()) }, (_, i) => handles.readBigUInt64LE(i * 8))
  }

  const pointOf = (id: Uint8Array): Uint8Array | undefined => {
    const [handle] = objects(cko.public, id)
    if (handle === undefined) return undefined
    const value = Buffer.alloc(256)
    ok(
      'C_GetAttributeValue',
      attributeValue(session, handle, [{ type: cka.point, pValue: value, ulValueLen: value.length }], 1),
    )
    // An OCTET STRING around the point; some modules give the point alone.
    const at = value[0] === 4 && value[1] === 65 && value[2] === 4 ? 2 : 0
    return new Uint8Array(value.subarray(at, at + 65))
  }

  return {
    pointOf,
    generate(id, label) {
      const common: Attribute[] = [
        ...([
          [cka.token, true],
          [cka.id, id],
          [cka.label, Buffer.from(label)],
        ] as Attribute[]),
      ]
      const publicHalf = template([...common, [cka.verify, true], [cka.params, p256], [cka.keyType, keyTypeEc]])
      const privateHalf = template([
        ...([...common, [cka.private, true], [cka.sign, true]] as Attribute[]),
        ...([
          [cka.sensitive, true],
          [cka.extractable, false],
        ] as Attribute[]),
      ])
      const [one, other] = [Buffer.alloc(8), Buffer.alloc(8)]
      const how = { mechanism: ckm.generate, pParameter: null, ulParameterLen: 0 }
      ok(
        'C_GenerateKeyPair',
        generatePair(session, how, publicHalf, publicHalf.length, privateHalf, privateHalf.length, one, other),
      )
      return pointOf(id)!
    },
    sign(id, digest) {
      const [handle] = objects(cko.private, id)
      if (handle === undefined) {
        throw new WritError('not_found', `${token} has no private key ${Buffer.from(id).toString('hex')}`, {
          cure: 'restore the token from its own backup',
        })
      }
      ok('C_SignInit', signInit(session, { mechanism: ckm.ecdsa, pParameter: null, ulParameterLen: 0 }, handle))
      const signature = Buffer.alloc(64)
      ok('C_Sign', signOnce(session, Buffer.from(digest), digest.length, signature, ulong(64n)))
      return new Uint8Array(signature)
    },
    destroy(id) {
      for (const kind of [cko.private, cko.public]) {
        for (const handle of objects(kind, id)) ok('C_DestroyObject', destroyObject(session, handle))
      }
    },
    close: () => void closeSession(session),
  }
}

type Koffi = typeof import('koffi')['default']

async function loadKoffi(): Promise<Koffi> {
  try {
    return (await import('koffi')).default
  } catch (cause) {
    throw new WritError('unavailable', 'modules of PKCS#11 are reached through koffi, which is not here', {
      cure: 'install it: npm install koffi',
      cause,
    })
  }
}

let named = false

/** CK_ATTRIBUTE and CK_MECHANISM as they lie in memory on 64-bit Unix. koffi takes a name once. */
function nameStructs(koffi: Koffi): void {
  if (named) return
  koffi.struct('writ_attribute', { type: 'ulong', pValue: 'void *', ulValueLen: 'ulong' })
  koffi.struct('writ_mechanism', { mechanism: 'ulong', pParameter: 'void *', ulParameterLen: 'ulong' })
  named = true
}

function attempted<T>(module: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    throw new WritError('unavailable', `${module} is no module of PKCS#11 that can be loaded`, {
      cure: 'give the path of its shared library, for this machine',
      cause,
    })
  }
}
