// A process whose files may not grow beyond a size (ulimit -f): `write-until-full.ts KIND FOLDER`; says how it went.
import { join } from 'node:path';
import { writeCheckpoint } from '@online-cnclip/checkpoint';
import { buildDataset } from '@online-cnclip/dataset';
import { ApplicationError, float32, storageErrorOf } from '@online-cnclip/foundation';

const [kind, folder = ''] = process.argv.slice(2);
// The signal of a file that grew too large; its write then fails, as on a full disk.
process.on('SIGXFSZ', () => {});

try {
  if (kind === 'dataset') await buildDataset({ dataDir: folder, splits: ['valid'] });
  else {
    const parameters = new Map([['a', float32([1_000_000], new Float32Array(1_000_000).fill(2))]]);
    await writeCheckpoint(join(folder, 'epoch_latest.pt'), { epoch: 1, step: 2, name: 'full', parameters });
  }
  console.log('nothing');
} catch (error) {
  const known = error instanceof ApplicationError ? error : storageErrorOf(error);
  console.log(known?.kind ?? (error as Error).stack);
}
process.exit(0);
