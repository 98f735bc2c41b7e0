import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { DataLossError, InvalidInputError, type NamedArrays, type NdArray } from '@online-cnclip/foundation';
import type { OptimizerState } from '../checkpoint.ts';
import { isBuffer } from '../naming/chinese-clip.ts';
import { readCheckpoint } from '../read-checkpoint.ts';
import { golden, plain, temporaryFolder } from '../testing/goldens.ts';
import { readZip, writeTorchZip } from '../testing/torch-files.ts';
import { writeCheckpoint } from './write-checkpoint.ts';

const folder = temporaryFolder();
const { parameters } = await readCheckpoint(golden('resnet/checkpoint.pt'));

/** Each moment is filled with its parameter's place, so that a mix-up shows. */
function momentsOf(isTrained: (name: string) => boolean): NamedArrays {
  return new Map(
    [...parameters]
      .filter(([name]) => !isBuffer(name) && isTrained(name))
      .map(([name, { shape, data }], i): [string, NdArray] => [
        name,
        { dtype: 'float32', shape, data: new Float32Array(data.length).fill(i) },
      ]),
  );
}

/** A file with texts of its pickle replaced by others of the same length. */
async function rewritten(moments: NamedArrays, replaced: Readonly<Record<string, string>>): Promise<string> {
  const path = join(folder, 'optimizer.pt');
  const optimizer: OptimizerState = { kind: 'adamw', step: 9, expAvg: moments, expAvgSq: moments };
  await writeCheckpoint(path, { parameters, optimizer });
  const entries = await readZip(path);
  let pickle = (entries.get('archive/data.pkl') as Buffer).toString('latin1');
  for (const [from, to] of Object.entries(replaced)) {
    assert.equal(from.length, to.length);
    assert.ok(pickle.includes(from));
    pickle = pickle.replaceAll(from, to);
  }
  const storages = [...entries].filter(([name]) => name.startsWith('archive/data/'));
  return writeTorchZip(
    folder,
    Buffer.from(pickle, 'latin1'),
    storages.map(([, bytes]) => bytes),
  );
}

const WITHOUT_NAMES = { param_names: 'other_names' };

test("without param_names, indices follow the research code's groups", async () => {
  const towers: ((name: string) => boolean)[] = [() => true, (name) => !name.startsWith('visual.')];
  for (const isTrained of towers) {
    const moments = momentsOf(isTrained);
    const { optimizer } = await readCheckpoint(await rewritten(moments, WITHOUT_NAMES));
    assert.equal(optimizer?.step, 9);
    assert.deepEqual(plain(optimizer?.expAvg as NamedArrays), plain(moments));
    assert.deepEqual(plain(optimizer?.expAvgSq as NamedArrays), plain(moments));
  }
});

test('groups that do not fit the model are refused, and only the optimizer', async () => {
  const moments = momentsOf((name) => name !== 'text_projection');
  const path = await rewritten(moments, WITHOUT_NAMES);
  await assert.rejects(
    readCheckpoint(path),
    (error: Error) =>
      error instanceof InvalidInputError && /optimizer: has groups of \d+ and \d+/.test(error.message),
  );
  const { parameters: read } = await readCheckpoint(path, { skipOptimizer: true });
  assert.deepEqual(plain(read), plain(parameters));
});

test('an optimizer of another kind, or without its parts, is refused', async () => {
  const moments = momentsOf(() => true);
  const refused: [Record<string, string>, new (...args: never[]) => Error, RegExp][] = [
    [{ exp_avg_sq: 'square_avg' }, InvalidInputError, /no tensor "exp_avg_sq"/],
    [{ param_groups: 'param_troops' }, DataLossError, /no list of "param_groups"/],
    [{ betas: 'fetas' }, DataLossError, /nothing as betas/],
  ];
  for (const [replaced, kind, reason] of refused)
    await assert.rejects(readCheckpoint(await rewritten(moments, replaced)), (error: Error) => {
      assert.ok(error instanceof kind, String(error));
      assert.match(error.message, reason);
      return true;
    });
});
