/** The mesh file that most tests of whole meshes begin with: a caller with an outbound port, and `orders`, which it calls. */

export interface OrdersMesh {
  readonly ports: { readonly inbound: number; readonly outbound: number; readonly app: number }
  /** Further members of the Mesh document's spec, as YAML without indentation. */
  readonly spec?: string
  /** Default `bank.example`. */
  readonly trustDomain?: string
  /** Default `storefront`. */
  readonly caller?: string
  /** The policy in front of `orders`. Default that of the bank. */
  readonly policy?: { readonly bundle: string; readonly entrypoint: string }
}

export function ordersMesh(mesh: OrdersMesh): string {
  const { ports, spec = '', trustDomain = 'bank.example', caller = 'storefront' } = mesh
  const { bundle, entrypoint } = mesh.policy ?? { bundle: 'bank', entrypoint: 'writ/authz/result' }
  const members = ['cluster: test', ...spec.trim().split('\n')].map((line) => `  ${line}\n`).join('')
  return `
apiVersion: writ.dev/v1
kind: Mesh
metadata: { name: mine }
spec:
  trustDomain: ${trustDomain}
${members}---
apiVersion: writ.dev/v1
kind: Workload
metadata: { name: ${caller} }
spec:
  outbound: { port: ${ports.outbound} }
---
apiVersion: writ.dev/v1
kind: Workload
metadata: { name: orders }
spec:
  service: orders
  inbound: { port: ${ports.inbound}, app: { port: ${ports.app} } }
---
apiVersion: writ.dev/v1
kind: Service
metadata: { name: orders }
spec: { hosts: [orders] }
---
apiVersion: writ.dev/v1
kind: PolicyBinding
metadata: { name: orders }
spec:
  targetRefs: [{ kind: Workload, name: orders }]
  bundle: ${bundle}
  entrypoint: ${entrypoint}
`
}
