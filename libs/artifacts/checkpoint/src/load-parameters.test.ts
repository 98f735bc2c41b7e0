import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { InvalidInputError, type NamedArrays, type NdArray } from '@online-cnclip/foundation';
import { loadParameters } from './load-parameters.ts';
import { readCheckpoint } from './read-checkpoint.ts';
import { writeSafetensors } from './safetensors/write-safetensors.ts';
import { golden, plain, temporaryFolder } from './testing/goldens.ts';
import { writeCheckpoint } from './torch/write-checkpoint.ts';

const folder = temporaryFolder();
const full = (await readCheckpoint(golden('vit/checkpoint.pt'))).parameters;
const specsOf = (arrays: NamedArrays) => new Map([...arrays].map(([name, { shape }]) => [name, shape]));
const specs = specsOf(full);
const legacy = golden('vit/checkpoint-legacy-format-without-word-embeddings.pt');
const wordEmbeddings = 'bert.embeddings.word_embeddings.weight';

test("every format gives the specs' parameters in their order", async () => {
  const reversed = new Map([...specs].reverse());
  for (const path of ['vit/checkpoint.pt', 'vit/huggingface']) {
    const { parameters, missing, unused } = await loadParameters(golden(path), reversed);
    assert.deepEqual([...parameters.keys()], [...reversed.keys()]);
    assert.deepEqual(plain(parameters), plain(full));
    assert.deepEqual([missing, unused], [[], []]);
  }
});

test('every missing and misshaped tensor is named at once', async () => {
  const wanted = new Map<string, readonly number[]>([
    ...specs,
    ['visual.ln_post.weight', [7]],
    ['visual.ln_post.bias', [1, 2]],
    ['absent', []],
  ]);
  await assert.rejects(loadParameters(legacy, wanted), (error: Error) => {
    assert.ok(error instanceof InvalidInputError);
    for (const text of [
      legacy,
      `${wordEmbeddings} is missing`,
      'absent is missing',
      /visual\.ln_post\.weight is \[\d+\], not \[7\]/,
      /visual\.ln_post\.bias is \[\d+\], not \[1,2\]/,
    ])
      assert.ok(
        typeof text === 'string' ? error.message.includes(text) : text.test(error.message),
        `${text}`,
      );
    return true;
  });
});

test('what may miss is listed', async () => {
  const { parameters, missing } = await loadParameters(legacy, specs, {
    mayMiss: (name) => name === wordEmbeddings,
  });
  assert.deepEqual(missing, [wordEmbeddings]);
  assert.equal(parameters.size, specs.size - 1);
});

test("a plain BERT's file, old names and all, fills the text tower", async () => {
  const bert = [...full].filter(([name]) => name.startsWith('bert.'));
  const oldNames = (prefix: string): NamedArrays =>
    new Map([
      ...bert.map(
        ([name, array]) =>
          [
            prefix +
              name
                .slice('bert.'.length)
                .replace(/LayerNorm\.weight$/, 'LayerNorm.gamma')
                .replace(/LayerNorm\.bias$/, 'LayerNorm.beta'),
            array,
          ] as const,
      ),
      [`${prefix}pooler.dense.weight`, full.get('text_projection') as NdArray],
      ['cls.predictions.bias', full.get('logit_scale') as NdArray],
    ]);
  for (const prefix of ['bert.', '']) {
    const path = join(folder, 'pytorch_model.bin');
    await writeCheckpoint(path, { parameters: oldNames(prefix) }, { modulePrefix: false });
    const { parameters, unused } = await loadParameters(path, specs, { part: 'text' });
    assert.deepEqual(plain(parameters), plain(new Map(bert)));
    assert.deepEqual(unused, []);
    await assert.rejects(loadParameters(path, specs), /visual\.conv1\.weight is missing/);
  }
});

test("CLIP's weights fill the image tower; its text tower is left unused", async () => {
  const vision = [...full].filter(([name]) => name.startsWith('visual.') || name === 'logit_scale');
  const path = join(folder, 'clip.safetensors');
  const other = ['token_embedding.weight', full.get('text_projection') as NdArray] as const;
  await writeSafetensors(path, new Map([...vision, other]));
  const { parameters, unused } = await loadParameters(path, specs, { part: 'vision' });
  assert.deepEqual(plain(parameters), plain(new Map(vision)));
  assert.deepEqual(unused, ['token_embedding.weight']);
});

test('the position embedding follows the resolution', async () => {
  const name = 'visual.positional_embedding';
  const [rows = 0, width = 0] = specs.get(name) ?? [];
  const grid = Math.sqrt(rows - 1) + 2;
  const wanted = new Map([...specs, [name, [1 + grid * grid, width]]] as [string, number[]][]);
  const { parameters, resized } = await loadParameters(golden('vit/checkpoint.pt'), wanted);
  assert.deepEqual(resized, [name]);
  assert.deepEqual(parameters.get(name)?.shape, wanted.get(name));
  const narrower = new Map([...specs, [name, [rows, width + 1]]] as [string, number[]][]);
  await assert.rejects(loadParameters(golden('vit/checkpoint.pt'), narrower), InvalidInputError);
  const notSquare = new Map([...specs, [name, [rows + 1, width]]] as [string, number[]][]);
  await assert.rejects(loadParameters(golden('vit/checkpoint.pt'), notSquare), /does not fit the model/);
});

test('a parameter of whole numbers is refused', async () => {
  const path = join(folder, 'whole.safetensors');
  await writeSafetensors(path, new Map([['a', { dtype: 'int32', shape: [1], data: Int32Array.of(1) }]]));
  await assert.rejects(loadParameters(path, new Map([['a', [1]]])), /a is int32, not float32/);
});
