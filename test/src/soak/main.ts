// npm run soak -- NAME [--minutes N] [--long] [--seed N] [--BOUND N ...]: runs the soak in the folder NAME, prints its
// figures, writes them to var/soak/NAME.json, and exits with 1 when a target is missed.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ApplicationError, messageOf } from '@online-cnclip/foundation';
import { loadSoak } from './catalogue.ts';
import { parseSoakCommand } from './command-line.ts';
import { missed, runSoak } from './run-soak.ts';
import { formatTable } from './table.ts';

const REPORTS = fileURLToPath(new URL('../../../var/soak/', import.meta.url));

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());

try {
  const [name, ...args] = process.argv.slice(2).filter((word) => word !== '--');
  const soak = await loadSoak(name);
  const { bounds, seed } = parseSoakCommand(soak, args);
  const report = await runSoak(soak, {
    bounds,
    ...(seed !== undefined && { seed }),
    signal: interrupted.signal,
    tell: (line) => console.error(line),
  });
  mkdirSync(REPORTS, { recursive: true });
  writeFileSync(join(REPORTS, `${soak.name}.json`), `${JSON.stringify(report, null, 2)}\n`);
  const { cpu, cores, memory_gb, node, load_at_start } = report.hardware;
  console.log(`${soak.name}: ${soak.description}`);
  console.log(`${cpu}, ${cores} cores, ${memory_gb} GB, Node ${node}, load ${load_at_start} at the start`);
  console.log(`${JSON.stringify(bounds)}, seed ${report.seed}, ${report.seconds.toFixed(0)} s\n`);
  console.log(`${formatTable(report.figures)}\n\nWritten to var/soak/${soak.name}.json`);
  process.exitCode = missed(report).length > 0 ? 1 : 0;
} catch (error) {
  console.error(error instanceof ApplicationError ? messageOf(error) : error);
  process.exitCode = 1;
}
// Clients and services in this process may leave handles behind.
process.exit();
