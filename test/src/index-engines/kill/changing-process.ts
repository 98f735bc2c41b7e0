// changing-process.ts FOLDER SEED: changes the index of a folder for ever, from the change after the last one it holds,
// several at a time; prints the number of each change once it is acknowledged.
import { writeSync } from 'node:fs';
import { ExactEngine } from '@online-cnclip/embedding-index';
import { changeOf, DIMENSION, MARKER } from './changes.ts';

/** Changes that wait for their acknowledgement together. */
const AT_A_TIME = 4;

const [folder = '', seed = ''] = process.argv.slice(2);
const engine = await ExactEngine.open({ folder, threads: 1 });
const [made] = await engine.list();
const index = made ?? (await engine.create({ name: 'killed', dimension: DIMENSION }));
const [marker] = await index.attributesOf(BigInt64Array.of(MARKER));
let next = marker === undefined ? 0 : Number(marker.change) + 1;

async function change(): Promise<void> {
  for (;;) {
    const number = next++;
    await index.upsert(changeOf(Number(seed), number));
    writeSync(1, `${number}\n`);
  }
}
await Promise.all(Array.from({ length: AT_A_TIME }, change));
