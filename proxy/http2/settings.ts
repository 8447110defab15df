/** SETTINGS of the other end (RFC 9113 section 6.5, RFC 8441 section 3). */

import { errorCode, maxWindow, readUint32, setting } from './frames.ts'

export interface PeerSettings {
  headerTableSize?: number
  maxConcurrentStreams?: number
  initialWindowSize?: number
  maxFrameSize?: number
}

/** What it says, or the code of the error of the connection that it is. */
export function readSettings(bytes: Uint8Array, from: number, to: number, ofServer: boolean): PeerSettings | number {
  const settings: PeerSettings = {}
  for (let at = from; at < to; at += 6) {
    const id = (bytes[at]! << 8) | bytes[at + 1]!
    const value = readUint32(bytes, at + 2)
    switch (id) {
      case setting.headerTableSize:
        settings.headerTableSize = value
        break
      case setting.enablePush:
        if (value > 1 || (ofServer && value === 1)) return errorCode.protocol
        break
      case setting.maxConcurrentStreams:
        settings.maxConcurrentStreams = value
        break
      case setting.initialWindowSize:
        if (value > maxWindow) return errorCode.flowControl
        settings.initialWindowSize = value
        break
      case setting.maxFrameSize:
        if (value < 16_384 || value > 16_777_215) return errorCode.protocol
        settings.maxFrameSize = value
        break
      case setting.enableConnectProtocol:
        if (value > 1) return errorCode.protocol
        break
    }
  }
  return settings
}
