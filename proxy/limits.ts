/** Every bound of the data plane: its unit, its default, and what happens beyond it. */

export interface Limits {
  /** Longest request or response head, in bytes. Default 32 768; longer is refused with 431 (or 502 from an upstream). */
  readonly headBytes: number
  /** Most fields of one head. Default 100; more is refused like a longer head. */
  readonly headFields: number
  /** Connections one listener holds. Default 10 000; further ones are closed at once. */
  readonly connections: number
  /** Time for a TLS handshake, in milliseconds. Default 10 000; then the connection is cut and counted. */
  readonly handshakeMs: number
  /** Time from a connection's or a head's first byte to the head's last, in milliseconds. Default 10 000; then it is cut. */
  readonly headMs: number
  /**
   * Time for the first line on a port of which nobody has said what is spoken there, in milliseconds. Default 100; then
   * the connection is passed as bytes.
   */
  readonly detectMs: number
  /** Time for what a policy is to see of a body, in milliseconds. Default 10 000; then it is refused with 408. */
  readonly bodyMs: number
  /** Time a kept-alive caller may be silent between requests, in milliseconds. Default 60 000; then it is closed. */
  readonly idleMs: number
  /** Time without a byte in either direction within one exchange, in milliseconds. Default 300 000; then it is cut. */
  readonly stallMs: number
  /** Age at which a connection is drained (`Connection: close`), in milliseconds, less up to a tenth. Default 1 hour. */
  readonly ageMs: number
  /** Time to reach an upstream, handshake included, in milliseconds. Default 5000; then the caller sees 503. */
  readonly connectMs: number
  /** Connections to one endpoint. Default 256; further requests wait. */
  readonly upstreams: number
  /** Requests that wait for a connection to one endpoint. Default 1024; further ones see 503. */
  readonly pending: number
  /** Copies of requests under way to mirrors, of one workload. Default 128; further ones are left out. */
  readonly mirrors: number
  /** Time an unused connection to another proxy is kept, in milliseconds. Default 30 000. */
  readonly upstreamIdleMs: number
  /** The same for an application, below the 5 s after which many servers close. Default 4000. */
  readonly appIdleMs: number
  /** Streams of HTTP/2 that one connection has at a time. Default 100; further ones are refused (REFUSED_STREAM). */
  readonly streams: number
  /** Body bytes that a stream of HTTP/2 may send ahead of whoever takes them. Default 65 535; then it has to wait. */
  readonly streamWindow: number
  /**
   * Streams that a caller resets, or has us reset by what is wrong with them, at once, and then 20 a second. Default 200;
   * beyond them its connection is cut.
   */
  readonly streamResets: number
  /** Frames of HTTP/2 without anything of a message in between, such as PING. Default 1000; then the connection is cut. */
  readonly controlFrames: number
}

export const limitDefaults: Limits = {
  headBytes: 32_768,
  headFields: 100,
  connections: 10_000,
  handshakeMs: 10_000,
  headMs: 10_000,
  detectMs: 100,
  bodyMs: 10_000,
  idleMs: 60_000,
  stallMs: 300_000,
  ageMs: 3_600_000,
  connectMs: 5000,
  upstreams: 256,
  pending: 1024,
  mirrors: 128,
  upstreamIdleMs: 30_000,
  appIdleMs: 4000,
  streams: 100,
  streamWindow: 65_535,
  streamResets: 200,
  controlFrames: 1000,
}
