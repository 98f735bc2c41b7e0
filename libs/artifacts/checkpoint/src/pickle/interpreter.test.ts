import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataLossError, InvalidInputError } from '@online-cnclip/foundation';
import { PickleInput } from './input.ts';
import { type PickleEnvironment, readPickle } from './interpreter.ts';
import { PickleFloat, PickleTuple, type PickleValue } from './values.ts';
import { writePickle } from './writer.ts';

const nothingAllowed: PickleEnvironment = { global: () => undefined, persistentLoad: (id) => id };

const read = (bytes: Buffer | string, environment = nothingAllowed): PickleValue =>
  readPickle(PickleInput.ofBytes(Buffer.from(bytes as string, 'latin1'), 'test'), environment);

test('what the writer writes comes back', () => {
  const value: PickleValue = new Map<string, PickleValue>([
    ['none', null],
    ['flags', [true, false]],
    ['integers', [0, 255, 256, 65536, -1, 2 ** 31 - 1, -(2 ** 31), 2 ** 31, 2 ** 53 - 1, -(2 ** 53) + 1]],
    ['floats', [0.5, -1e300, Number.POSITIVE_INFINITY]],
    ['text', '中文 \n 🙂'],
    ['tuples', new PickleTuple([new PickleTuple([]), new PickleTuple([1, 'two'])])],
    ['empty', [new Map(), []]],
  ]);
  assert.deepEqual(read(writePickle(value)), value);
  assert.equal(read(writePickle(new PickleFloat(1))), 1);
});

test("reads CPython's protocol 2 and 4 of {'a': (1, -2, 3.5), 'b': [10**20, 'a']}", () => {
  const expected = new Map<string, PickleValue>([
    ['a', new PickleTuple([1, -2, 3.5])],
    ['b', [10n ** 20n, 'a']],
  ]);
  const protocols = [
    '80027d71002858010000006171014b014afeffffff47400c00000000000087710258010000006271035d7104288a09000010632d5ec76b05680165752e',
    '80049530000000000000007d94288c0161944b014afeffffff47400c00000000000087948c0162945d94288a09000010632d5ec76b05680165752e',
  ];
  for (const hex of protocols) assert.deepEqual(read(Buffer.from(hex, 'hex').toString('latin1')), expected);
});

test('a global outside the allow-list is named and nothing is called', () => {
  const attack = '\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.';
  assert.throws(
    () => read(attack),
    (error: Error) => {
      assert.ok(error instanceof InvalidInputError);
      assert.match(error.message, /global "os\.system"/);
      return true;
    },
  );
  const stackGlobal = '\x80\x04\x8c\x08builtins\x8c\x04eval\x93.';
  assert.throws(() => read(stackGlobal), /global "builtins\.eval"/);
});

test('operations that build arbitrary objects are refused', () => {
  // INST, OBJ, NEWOBJ, EXT1, PERSID, text-mode INT
  for (const code of ['i', 'o', '\x81', '\x82', 'P', 'I'])
    assert.throws(() => read(`\x80\x02}${code}`), /operation 0x/);
});

test('a damaged stream is a typed error', () => {
  const cases: Record<string, string> = {
    empty: '',
    'no STOP': '\x80\x02N',
    'nothing to return': '\x80\x02.',
    'text beyond the end': '\x80\x02X\x64\x00\x00\x00ab.',
    'float cut off': '\x80\x02G\x00.',
    'mark missing': '\x80\x02]e.',
    'pop below a mark': '\x80\x02](N0a.',
    'key without value': '\x80\x02}(Nu.',
    'dict as key': '\x80\x02}(}Nu.',
    'append to a dict': '\x80\x02}Na.',
    'items of a list': '\x80\x02](NNu.',
    'never remembered': '\x80\x02h\x07.',
    'endless global': `\x80\x02c${'a'.repeat(300)}`,
  };
  for (const [name, bytes] of Object.entries(cases)) assert.throws(() => read(bytes), DataLossError, name);
});

test('calling or filling what is not callable is refused', () => {
  assert.throws(() => read('\x80\x02N)R.'), /call of None/);
  assert.throws(() => read('\x80\x02N}b.'), /state set on None/);
});

test('the number of operations and the size of a string are bounded', () => {
  assert.throws(() => read('}'.repeat(1_100_000)), /more than 1000000 operations/);
  const long = Buffer.alloc(5 + (1 << 24) + 1);
  long.write('X', 'latin1');
  long.writeUInt32LE((1 << 24) + 1, 1);
  assert.throws(() => readPickle(PickleInput.ofBytes(long, 'test'), nothingAllowed), /string of/);
});
