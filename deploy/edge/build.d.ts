/** What `writ policy build --edge build` writes, for the compiler: it is made before the function is bundled. */

declare module '*/policy.wasm' {
  const module: WebAssembly.Module
  export default module
}

declare module '*/data.json' {
  const data: unknown
  export default data
}

declare module '*/ref.json' {
  const ref: { readonly bundle: string; readonly revision: string; readonly sha256: string }
  export default ref
}

declare module '*/reads.json' {
  const reads: unknown
  export default reads
}
