/** Frames of HTTP/2 (RFC 9113 sections 4 and 6): their numbers, and what of each is wrong by its first nine bytes. */

export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

export const flag = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const

/** Section 7. */
export const errorCode = {
  none: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSize: 6,
  refused: 7,
  cancel: 8,
  compression: 9,
  connect: 10,
  enhanceYourCalm: 11,
} as const

/** Section 6.5.2, and RFC 8441 section 3. */
export const setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
  enableConnectProtocol: 8,
} as const

export const frameHeadBytes = 9
/** Longest frame that we take, as long as our settings say nothing of it. */
export const maxFrameBytes = 16_384
export const maxWindow = 2_147_483_647
export const maxStreamId = 2_147_483_647
/** Windows before any settings (section 6.9.2). */
export const defaultWindow = 65_535

/** What a client says first (section 3.4). */
export const preface: Uint8Array = new Uint8Array(
  [...'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'].map((character) => character.charCodeAt(0)),
)

export const readUint32 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0

/** 31 bits: the first one is reserved, and means nothing. */
export const readId = (bytes: Uint8Array, at: number): number => readUint32(bytes, at) & maxStreamId

/** Code of the error of the connection that a frame's head is, or 0. A PRIORITY of a wrong length is its stream's alone. */
export function headFault(type: number, flags: number, id: number, length: number): number {
  if (length > maxFrameBytes) return errorCode.frameSize
  switch (type) {
    case frameType.data:
    case frameType.headers:
    case frameType.continuation:
    case frameType.priority:
      return id === 0 ? errorCode.protocol : 0
    case frameType.reset:
      return id === 0 ? errorCode.protocol : length === 4 ? 0 : errorCode.frameSize
    case frameType.settings:
      if (id !== 0) return errorCode.protocol
      return ((flags & flag.ack) !== 0 ? length === 0 : length % 6 === 0) ? 0 : errorCode.frameSize
    case frameType.push:
      return errorCode.protocol // We never allow it (section 8.4).
    case frameType.ping:
      return id !== 0 ? errorCode.protocol : length === 8 ? 0 : errorCode.frameSize
    case frameType.goaway:
      return id !== 0 ? errorCode.protocol : length >= 8 ? 0 : errorCode.frameSize
    case frameType.windowUpdate:
      return length === 4 ? 0 : errorCode.frameSize
  }
  return 0 // Unknown types are ignored (section 5.5).
}
