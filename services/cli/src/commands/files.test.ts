// Commands that need no model, each as a process, on the goldens.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { cnclip, goldens, linesOf, succeed, temporaryFolder, tinyDataPath } from '../testing/processes.ts';

describe('dataset', () => {
  const dataPath = tinyDataPath();
  const dataset = join(dataPath, 'datasets/tiny');
  const pairs: unknown[] = JSON.parse(readFileSync(join(goldens, 'dataset/pairs.json'), 'utf8'));

  test('build writes LMDBs that check reads, by data path as by folder, spelled as the research code does', async () => {
    const inTiny = ['--data-path', dataPath, '--dataset', 'tiny'];
    const images = linesOf(join(dataset, 'valid_imgs.tsv')).length;
    const counts = `${images} images, ${pairs.length} pairs`;
    const lmdb = join(temporaryFolder(), 'lmdb');
    const spelled = ['--data_dir', dataset, '--splits=valid', '--lmdb_dir', lmdb];
    assert.equal(
      await succeed(['dataset', 'build', ...spelled]),
      `valid: ${counts} in ${join(lmdb, 'valid')}\n`,
    );
    assert.equal(await succeed(['dataset', 'check', '--lmdb-dir', lmdb]), `valid: ${counts}, 0 problems\n`);
    await succeed(['dataset', 'build', ...inTiny, '--splits', 'train,valid']);
    const checked = await succeed(['dataset', 'check', ...inTiny]);
    assert.equal(checked, `train: ${counts}, 0 problems\nvalid: ${counts}, 0 problems\n`);
  });

  test('check ends with status 1 where something is wrong, and says where', async () => {
    const lmdb = join(temporaryFolder(), 'lmdb');
    cpSync(join(goldens, 'dataset/lmdb/valid/pairs'), join(lmdb, 'valid/pairs'), { recursive: true });
    const { code, stdout, stderr } = await cnclip(['dataset', 'check', '--lmdb-dir', lmdb]);
    assert.equal(code, 1);
    assert.match(stdout, /^ {2}.*imgs/m);
    assert.match(stderr, /^cnclip: .*lmdb: \d+ problems found\n$/);
  });

  test('a broken line is named by file and line', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'bad_imgs.tsv'), '1\t!\n');
    writeFileSync(join(folder, 'bad_texts.jsonl'), '');
    const { code, stderr } = await cnclip(['dataset', 'build', '--data-dir', folder, '--splits', 'bad']);
    assert.equal(code, 2);
    assert.match(stderr, /^cnclip: .*bad_imgs\.tsv:1: [^\n]+\n$/);
  });
});

describe('ensembles and recall', () => {
  const ranking = join(goldens, 'ranking');
  const expected = join(ranking, 'expected-ensemble-top10.jsonl');
  const reference = join(ranking, 'reference.jsonl');
  const ids: Record<'query_ids' | 'image_ids', number[]> = JSON.parse(
    readFileSync(join(ranking, 'ids.json'), 'utf8'),
  );

  for (const [name, folder, suffix] of [
    ['ensemble', 'npy_save', ''],
    ['ensemble-last', 'npy_save_last', '-last'],
  ] as const)
    test(`predict ${name} gives the golden ranking by the default weights`, async () => {
      const root = temporaryFolder();
      mkdirSync(join(root, 'datasets/MUGE'), { recursive: true });
      const write = (file: string, key: string, all: readonly number[]) =>
        writeFileSync(
          join(root, 'datasets/MUGE', file),
          all.map((id) => `{"${key}": ${id}, "feature": [1]}\n`).join(''),
        );
      write(`test_texts.txt_feat${suffix}.jsonl`, 'text_id', ids.query_ids);
      write(`test_imgs.img_feat${suffix}.jsonl`, 'image_id', ids.image_ids);
      mkdirSync(join(root, folder));
      for (let model = 1; model <= 8; model++)
        cpSync(join(ranking, `matrix-${model}.npy`), join(root, folder, `matrix-${model}.npy`));
      await succeed(['predict', name], { env: { DATAPATH: root } });
      const predictions = join(
        root,
        `experiments/results/test_predictions_ensemble${suffix.replace('-', '_')}.jsonl`,
      );
      assert.deepEqual(
        linesOf(predictions).map((line) => JSON.parse(line)),
        linesOf(expected).map((line) => JSON.parse(line)),
      );

      const few = await cnclip(['predict', name, '--weights', '1,2'], { env: { DATAPATH: root } });
      assert.equal(few.code, 2);
      assert.match(few.stderr, /^cnclip: weights: 2 weights \(1, 2\) for 8 matrices/);
    });

  test('evaluate prints the golden recall, and writes it', async () => {
    const recall: Record<string, number> = JSON.parse(
      readFileSync(join(ranking, 'expected-recall.json'), 'utf8'),
    );
    const out = join(temporaryFolder(), 'scores.json');
    const printed = await succeed(['evaluate', reference, expected, out]);
    const { scoreJson } = JSON.parse(readFileSync(out, 'utf8'));
    for (const [name, value] of Object.entries(recall)) {
      const shown = Number(new RegExp(`^${name} +([\\d.]+)$`, 'm').exec(printed)?.[1]);
      assert.ok(Math.abs(shown - value) < 1e-4, name);
      assert.ok(Math.abs(scoreJson[name] - value) < 1e-9, name);
    }
  });

  test('evaluate names the first bad line', async () => {
    const bad = join(temporaryFolder(), 'bad.jsonl');
    writeFileSync(bad, `${linesOf(expected)[0]}\n{"query_id": 1}\n`);
    const { code, stderr } = await cnclip(['evaluate', reference, bad]);
    assert.equal(code, 2);
    assert.match(stderr, /^cnclip: .*bad\.jsonl:2: [^\n]+\n$/);
  });
});

test('model list has every preset, with the parameters that the checkpoint has', async () => {
  const printed = await succeed(['model', 'list']);
  for (const name of ['ViT-H-14', 'RN50', 'RBT3-chinese', 'ViT-mini-8-48'])
    assert.ok(printed.includes(name), name);
  assert.match(printed, /^ViT-B-16 .* 86\.2 M$/m);
});

test('tokenize prints the golden ids', async () => {
  const cases = linesOf(join(goldens, 'tokenizer/cases.jsonl'))
    .map((line) => JSON.parse(line) as { text: string; context_length: number; ids: number[] })
    .filter(
      ({ text, context_length }) =>
        text !== '' && !text.startsWith('-') && !text.includes('\0') && context_length === 52,
    )
    .slice(0, 50);
  assert.ok(cases.length > 0);
  const printed = await succeed([
    'tokenize',
    '--context-length',
    '52',
    '--',
    ...cases.map(({ text }) => text),
  ]);
  const ids = printed
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).ids);
  assert.deepEqual(
    ids,
    cases.map((one) => one.ids.slice(0, one.ids.lastIndexOf(102) + 1)),
  );
});
