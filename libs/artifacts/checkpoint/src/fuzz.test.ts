import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ApplicationError } from '@online-cnclip/foundation';
import { readCheckpoint } from './read-checkpoint.ts';
import { golden, seededRandom, temporaryFolder } from './testing/goldens.ts';
import { readZip, writeTorchZip } from './testing/torch-files.ts';
import { writeCheckpoint } from './torch/write-checkpoint.ts';

// Headers are where lies matter: most mutations fall into the first and last bytes.
const HEADER_BYTES = 12_000;
const MUTATIONS_PER_FILE = 70;
// Far above what any of these small files takes; a hang or a giant allocation does not pass.
const MAX_MS_PER_FILE = 2000;

const folder = temporaryFolder();
const EXTREMES = [0x00, 0x7f, 0x80, 0xff];

/** One to four flips, overwrites, cuts or repeats. */
function mutate(original: Buffer, random: () => number): Buffer {
  let bytes = Buffer.from(original);
  const below = (limit: number) => Math.floor(random() * Math.max(1, limit));
  for (let count = 1 + below(4); count > 0; count--) {
    const near = below(Math.min(HEADER_BYTES, bytes.length));
    const at = [near, bytes.length - 1 - near, below(bytes.length)][below(3)] as number;
    const length = 1 + below(9);
    const kind = below(6);
    if (kind <= 1) bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8));
    else if (kind === 2) bytes.fill(EXTREMES[below(4)] as number, at, Math.min(at + length, bytes.length));
    else if (kind === 3) bytes = bytes.subarray(0, at + 1);
    else if (kind === 4) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    else
      bytes = Buffer.concat([
        bytes.subarray(0, at),
        bytes.subarray(at >> 1, (at >> 1) + length),
        bytes.subarray(at),
      ]);
  }
  return bytes;
}

/** Reads what may be damaged: success or a typed error that names the file, soon. */
async function readMutated(path: string, label: string): Promise<'read' | 'refused'> {
  const start = performance.now();
  try {
    await readCheckpoint(path);
    return 'read';
  } catch (error) {
    if (!(error instanceof ApplicationError)) assert.fail(`${label}: ${(error as Error).stack}`);
    assert.ok(error.message.includes(path), `${label}: ${error.message}`);
    return 'refused';
  } finally {
    assert.ok(performance.now() - start < MAX_MS_PER_FILE, `${label} took too long`);
  }
}

async function trainingCheckpoint(): Promise<string> {
  const path = join(folder, 'training.pt');
  const { parameters } = await readCheckpoint(golden('vit/checkpoint.pt'));
  const few = new Map([...parameters].slice(0, 12));
  const optimizer = { kind: 'adamw', step: 3, expAvg: few, expAvgSq: few } as const;
  await writeCheckpoint(path, {
    epoch: 1,
    step: 3,
    name: 'x',
    parameters: few,
    optimizer,
    extra: { a: [1, { b: null }] },
  });
  return path;
}

const files = {
  zip: golden('vit/checkpoint-fp16.pt'),
  legacy: golden('vit/checkpoint-legacy-format-without-word-embeddings.pt'),
  safetensors: golden('vit/huggingface/model.safetensors'),
  training: await trainingCheckpoint(),
};

for (const [seed, [kind, source]] of Object.entries(files).entries())
  test(`mutated ${kind} files give typed errors only`, async () => {
    const random = seededRandom(seed + 1);
    const original = readFileSync(source);
    const path = join(folder, `mutated-${kind}`);
    let refused = 0;
    for (let i = 0; i < MUTATIONS_PER_FILE; i++) {
      writeFileSync(path, mutate(original, random));
      if ((await readMutated(path, `${kind} ${i}`)) === 'refused') refused++;
    }
    assert.ok(refused > MUTATIONS_PER_FILE / 4, `only ${refused} were refused`);
  });

test('mutated pickles in a zip with right checksums give typed errors only', async () => {
  const random = seededRandom(99);
  const source = await trainingCheckpoint();
  const entries = await readZip(source);
  const pickle = entries.get('archive/data.pkl') as Buffer;
  const storages = [...entries]
    .filter(([name]) => name.startsWith('archive/data/'))
    .map(([, bytes]) => bytes);
  let refused = 0;
  for (let i = 0; i < 2 * MUTATIONS_PER_FILE; i++) {
    const path = await writeTorchZip(folder, mutate(pickle, random), storages);
    if ((await readMutated(path, `pickle ${i}`)) === 'refused') refused++;
  }
  assert.ok(refused > MUTATIONS_PER_FILE / 2, `only ${refused} were refused`);
});
