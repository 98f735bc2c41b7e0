// A process that is killed in the middle of a build: node killed-build.ts DATA_DIR LMDB_DIR.
import { buildDataset } from '../build-dataset.ts';

const [dataDir, lmdbDir] = process.argv.slice(2) as [string, string];
await buildDataset({
  dataDir,
  lmdbDir,
  splits: ['valid'],
  readBytes: 4096,
  onProgress: ({ phase, records }) => {
    if (phase === 'images' && records > 5) process.kill(process.pid, 'SIGKILL');
  },
});
