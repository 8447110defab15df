/** What telemetry of a mesh cannot show, whatever a report says. */
export const limits: readonly string[] = [
  'Traffic that never met a proxy. Only workloads that recorded are in the numbers; compare them with the platform’s own inventory.',
  'Encryption at rest, physical security, the state of vulnerabilities and patches.',
  'Users’ multi-factor log-in, training, staff, vendors, and the organisational parts of ISO 27001 and SOC 2.',
  'Whether a policy is the right one. A rule that is enforced without fail may still be wrong.',
  'Whether cryptographic modules are FIPS-validated. A version string is not a certificate.',
  'That whoever reviewed a record understood it.',
  'Anything from before the log began.',
  'Where card or health data flows, unless policies label it.',
  'Other processes on a host that use a workload’s own outbound listener on loopback.',
]
