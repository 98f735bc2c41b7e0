import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DataLossError,
  InvalidInputError,
  type NamedArrays,
  UnsupportedError,
} from '@online-cnclip/foundation';
import { readCheckpoint } from '../read-checkpoint.ts';
import { readSafetensors } from '../safetensors/safetensors-file.ts';
import { float32Array, golden, plain } from '../testing/goldens.ts';
import { hasWeightDecay, isBuffer, optimizerGroups, stripModulePrefix } from './chinese-clip.ts';
import { fromHuggingFace, toHuggingFace } from './huggingface.ts';
import { resizePositionEmbedding } from './position-embedding.ts';

test("to Hugging Face's names and back", async () => {
  const { parameters } = await readCheckpoint(golden('vit/checkpoint.pt'));
  const reference = await readSafetensors(golden('vit/huggingface/model.safetensors'));
  assert.deepEqual(plain(toHuggingFace(parameters)), plain(reference));
  assert.deepEqual(plain(fromHuggingFace(toHuggingFace(parameters), 'test')), plain(parameters));
});

test('what ChineseCLIPModel has no place for, or lacks, is named', async () => {
  const resnet = await readCheckpoint(golden('resnet/checkpoint.pt'));
  assert.throws(() => toHuggingFace(resnet.parameters), UnsupportedError);
  const reference = await readSafetensors(golden('vit/huggingface/model.safetensors'));
  const key = 'vision_model.encoder.layers.0.self_attn.k_proj.weight';
  const without: NamedArrays = new Map([...reference].filter(([name]) => name !== key));
  assert.throws(() => fromHuggingFace(without, 'test'), new RegExp(`"${key}" is missing`));
  const ragged: NamedArrays = new Map([...reference, [key, float32Array([1, 2], [0, 0])]]);
  assert.throws(() => fromHuggingFace(ragged, 'test'), DataLossError);
});

test('position ids and poolers are left out, an unknown name is kept', () => {
  const scalar = float32Array([], [1]);
  const names = [
    'text_model.embeddings.position_ids',
    'text_model.pooler.dense.bias',
    'other',
    'logit_scale',
  ];
  const kept = fromHuggingFace(new Map(names.map((name) => [name, scalar])), 'test');
  assert.deepEqual([...kept.keys()], ['other', 'logit_scale']);
});

test("weight decay follows the research code's substrings; buffers are no parameters", () => {
  for (const name of ['logit_scale', 'visual.ln_pre.weight', 'visual.bn1.weight', 'visual.conv1.bias'])
    assert.equal(hasWeightDecay(name), false, name);
  // BERT's LayerNorm weights do decay: their name has no lower-case "ln".
  for (const name of ['bert.embeddings.LayerNorm.weight', 'text_projection', 'visual.proj'])
    assert.equal(hasWeightDecay(name), true, name);
  assert.ok(isBuffer('visual.bn1.running_mean') && isBuffer('visual.bn1.num_batches_tracked'));
  assert.ok(!isBuffer('visual.bn1.weight'));
  assert.deepEqual(optimizerGroups(['visual.proj', 'a.bias', 'visual.bn1.running_var', 'b']), [
    ['a.bias'],
    ['visual.proj', 'b'],
  ]);
});

test('names with and without module. cannot be mixed up', () => {
  assert.deepEqual(
    [
      ...stripModulePrefix(
        new Map([
          ['module.a', 1],
          ['b', 2],
        ]),
        'test',
      ).keys(),
    ],
    ['a', 'b'],
  );
  assert.throws(
    () =>
      stripModulePrefix(
        new Map([
          ['module.a', 1],
          ['a', 2],
        ]),
        'test',
      ),
    InvalidInputError,
  );
});

test("the position embedding is interpolated as torch's bicubic with aligned corners", () => {
  // torch.nn.functional.interpolate(torch.arange(p * p).remainder(5.).reshape(1, 1, p, p), size=(n, n),
  // mode='bicubic', align_corners=True), torch 2.15
  const cases: [from: number, to: number, expected: number[]][] = [
    [
      3,
      4,
      [
        0.0, 0.574074, 1.425925, 2.0, 2.277778, 3.294239, 2.450274, 0.296297, 2.703703, 3.720165, 2.876199,
        0.722222, 1.0, 1.574074, 2.425925, 3.0,
      ],
    ],
    [4, 3, [0.0, 1.5, 3.0, 3.96875, 0.693359, 1.5, 2.0, 3.96875, 0.0]],
    [2, 1, [0]],
    [2, 2, [0, 1, 2, 3]],
  ];
  for (const [from, to, expected] of cases) {
    const grid = Array.from({ length: from * from }, (_, i) => i % 5);
    // Width 2: the grid, and its double.
    const rows = [100, 200, ...grid.flatMap((value) => [value, 2 * value])];
    const { shape, data } = resizePositionEmbedding(float32Array([1 + from * from, 2], rows), 1 + to * to);
    assert.deepEqual(shape, [1 + to * to, 2]);
    assert.deepEqual([...data.subarray(0, 2)], [100, 200], "the class token's row stays");
    for (const [i, value] of expected.entries()) {
      assert.ok(Math.abs((data[2 + 2 * i] as number) - value) < 1e-5, `${from} to ${to}, ${i}`);
      assert.ok(Math.abs((data[3 + 2 * i] as number) - 2 * value) < 2e-5, `${from} to ${to}, ${i}, doubled`);
    }
  }
});
