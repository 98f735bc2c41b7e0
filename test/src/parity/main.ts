// npm run parity [-- DIR]: compares every golden case in DIR (default: test/goldens) with what we compute.
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMiss } from './case.ts';
import { runParity } from './run-parity.ts';

const DEFAULT_FOLDER = fileURLToPath(new URL('../../goldens', import.meta.url));
const [argument] = process.argv.slice(2).filter((word) => word !== '--');
// npm runs scripts in the project's root; a relative DIR is meant from where the user stands.
const folder = argument === undefined ? DEFAULT_FOLDER : resolve(process.env['INIT_CWD'] ?? '.', argument);

let [passed, missed, skipped] = [0, 0, 0];
for await (const result of runParity(folder)) {
  if ('skipped' in result) {
    skipped++;
    console.log(`skip  ${result.name}: ${result.skipped}`);
  } else if ('failure' in result) {
    missed++;
    console.log(`MISS  ${result.name}: ${result.failure}`);
  } else {
    const verdict = isMiss(result) ? 'MISS' : 'ok  ';
    if (isMiss(result)) missed++;
    else passed++;
    const figures = `${result.error.toExponential(2)} of ${result.tolerance.toExponential(0)} ${result.unit}`;
    console.log(`${verdict}  ${result.name.padEnd(78)} ${figures}`);
  }
}
console.log(`\n${folder}: ${passed} passed, ${missed} missed, ${skipped} skipped`);
process.exitCode = missed > 0 || passed === 0 ? 1 : 0;
