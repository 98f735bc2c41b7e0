import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { InvalidInputError, NotFoundError } from '@online-cnclip/foundation';
import { loadTokenizer, MAX_CONTEXT_LENGTH, MAX_TEXT_LENGTH } from './index.ts';

interface Case {
  readonly text: string;
  readonly context_length: number;
  readonly ids: readonly number[];
}

const cases = readFileSync(new URL('../../../../test/goldens/tokenizer/cases.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as Case);

const tokenizer = loadTokenizer();

describe('golden cases', () => {
  it('gives the ids of cn_clip', () => {
    assert.ok(cases.length > 0);
    for (const { text, context_length, ids } of cases) {
      const encoded = tokenizer.encode([text], context_length);
      assert.deepEqual(encoded.shape, [1, context_length]);
      assert.deepEqual([...encoded.data], ids, JSON.stringify(text.slice(0, 40)));
    }
  });

  it('gives a whole batch the ids of its texts, padded to the longest only when trimmed', () => {
    for (const [length, batch] of Map.groupBy(cases, ({ context_length }) => context_length)) {
      const texts = batch.map(({ text }) => text);
      const full = tokenizer.encode(texts, length);
      assert.deepEqual(
        [...full.data],
        batch.flatMap(({ ids }) => ids),
      );
      const trimmed = tokenizer.encodeTrimmed(texts, length);
      const longest = Math.max(...batch.map(({ ids }) => ids.filter((id) => id !== 0).length));
      assert.deepEqual(trimmed.shape, [texts.length, longest]);
      batch.forEach(({ ids }, row) => {
        const actual = trimmed.data.subarray(row * longest, (row + 1) * longest);
        assert.deepEqual([...actual], ids.slice(0, longest));
      });
    }
  });
});

describe('tokens', () => {
  it('names the pieces of a text', () => {
    assert.deepEqual(tokenizer.tokenize('iPhone手机“壳”'), ['iphone', '手', '机', '"', '壳', '"']);
    assert.deepEqual(tokenizer.tokenize('x'.repeat(201)), ['[UNK]']);
  });

  it('decodes ids, leaving out what only frames them', () => {
    const { data } = tokenizer.encode(['iphone 手机 supercalifragilistic'], 24);
    assert.equal(tokenizer.decode(data), 'iphone 手 机 supercalifragilistic');
    assert.throws(() => tokenizer.decode([tokenizer.vocabularySize]), /is not an id/);
  });

  it('trims an empty batch and an empty text to what frames it', () => {
    assert.deepEqual(tokenizer.encodeTrimmed([], 24).shape, [0, 2]);
    assert.deepEqual([...tokenizer.encodeTrimmed([''], 24).data], [101, 102]);
  });
});

describe('limits', () => {
  it('refuses a context length out of range and names the text that is too long', () => {
    for (const length of [1, 0, -1, 2.5, Number.NaN, MAX_CONTEXT_LENGTH + 1])
      assert.throws(() => tokenizer.encode(['a'], length), InvalidInputError);
    assert.throws(
      () => tokenizer.encode(['a', 'a'.repeat(MAX_TEXT_LENGTH + 1)], 24),
      (error) => error instanceof InvalidInputError && error.place === 'texts[1]',
    );
    assert.equal(tokenizer.encode(['中'.repeat(MAX_TEXT_LENGTH)], 24).data.at(-1), 102);
  });

  it('never throws and stays in bounds on any text', () => {
    let state = 1;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const ranges = [0x80, 0x300, 0x3000, 0x10000, 0x110000];
    for (let round = 0; round < 3000; round++) {
      // Any UTF-16 unit, lone surrogates included.
      const range = ranges[random(ranges.length)] as number;
      const text = Array.from({ length: random(60) }, () => String.fromCodePoint(random(range))).join('');
      const length = 2 + random(80);
      const { data } = tokenizer.encode([text], length);
      assert.equal(data.length, length);
      assert.equal(data[0], 101);
      const end = data.indexOf(102);
      assert.ok(end > 0, JSON.stringify(text));
      assert.ok(data.every((id, at) => id >= 0 && id < tokenizer.vocabularySize && (at <= end || id === 0)));
      assert.deepEqual(tokenizer.encodeTrimmed([text], length).data, data.slice(0, end + 1));
    }
  });
});

describe('vocabulary files', () => {
  it('reads another vocabulary, and refuses one that is missing or has no special tokens', () => {
    const folder = mkdtempSync(join(tmpdir(), 'vocabulary-'));
    const path = join(folder, 'vocab.txt');
    try {
      assert.throws(() => loadTokenizer(path), NotFoundError);
      writeFileSync(path, '[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n红\r\n');
      const small = loadTokenizer(path);
      assert.equal(small.vocabularySize, 5);
      assert.deepEqual([...small.encode(['红绿'], 5).data], [2, 4, 1, 3, 0]);
      writeFileSync(path, '[PAD]\n红\n');
      assert.throws(() => loadTokenizer(path), /\[UNK\]/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
