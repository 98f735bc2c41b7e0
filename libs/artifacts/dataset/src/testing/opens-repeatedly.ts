// Opens a split again and again, as a reader does while it is being replaced, until its standard input ends.
import { openDataset } from '../dataset.ts';

const [folder] = process.argv.slice(2) as [string];
let ended = false;
process.stdin.on('end', () => {
  ended = true;
});
process.stdin.resume();
while (!ended) {
  for (let i = 0; i < 50; i += 1) {
    const dataset = openDataset(folder);
    dataset.image(dataset.pair(dataset.pairs - 1).imageId);
    dataset.close();
  }
  await new Promise((resolve) => setImmediate(resolve));
}
