/** The page's whole appearance: system fonts, two themes, nothing fetched. */

export const style: string = `
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5d6878; --line: #dfe4ea; --ground: #f7f8fa; --card: #fff;
  --yes: #1a7f4b; --no: #b3261e; --unsure: #8a5a00; --link: #1f5fbf; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa5b4; --line: #2b333d; --ground: #12161b;
  --card: #1a2027; --yes: #5cc98c; --no: #ff8a80; --unsure: #e3b341; --link: #7fb0ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 20px 60px; }
header { display: flex; flex-wrap: wrap; align-items: baseline; justify-content: space-between; gap: 4px 24px; }
h1 { font-size: 24px; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 16px; margin: 34px 0 10px; } h2 small { color: var(--soft); font-weight: 400; margin-left: 6px; }
header p, .root { color: var(--soft); margin: 0; }
.root { font-size: 13px; margin-top: 10px; overflow-wrap: anywhere; }
a { color: var(--link); }
code, pre { font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px; overflow: auto; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 12px; margin-top: 22px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 16px; }
.tile span { color: var(--soft); display: block; font-size: 13px; }
.tile strong { font-size: 26px; font-variant-numeric: tabular-nums; font-weight: 600; }
.tile small { color: var(--soft); margin-left: 8px; }
.tile.deny strong, td.deny { color: var(--no); } .tile.fault strong { color: var(--unsure); }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 8px 14px; border-bottom: 1px solid var(--line); vertical-align: top; white-space: nowrap; }
th { color: var(--soft); font-size: 13px; font-weight: 500; }
tr:last-child td { border-bottom: 0; }
.n { text-align: right; font-variant-numeric: tabular-nums; }
.why { white-space: normal; min-width: 220px; color: var(--soft); }
.verdict { font-weight: 600; } .verdict.allow { color: var(--yes); } .verdict.deny { color: var(--no); }
.verdict.fault { color: var(--unsure); }
.empty { color: var(--soft); }
`
