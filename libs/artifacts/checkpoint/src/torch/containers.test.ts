import assert from 'node:assert/strict';
import { createWriteStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { DataLossError, UnsupportedError } from '@online-cnclip/foundation';
import yazl from 'yazl';
import { writePickle } from '../pickle/writer.ts';
import { readCheckpoint } from '../read-checkpoint.ts';
import { plain, temporaryFolder } from '../testing/goldens.ts';
import { pickledView } from '../testing/torch-files.ts';

const folder = temporaryFolder();
const view = { length: 3, shape: [3], strides: [1] };
const pickle = writePickle(new Map([['x', pickledView(view)]]));
const values = Buffer.from(Float32Array.of(1, 2, 3).buffer);

/** A zip of another writer: data descriptors, no alignment. */
async function archive(
  entries: Readonly<Record<string, Buffer>>,
  options: { compress?: boolean; forceZip64Format?: boolean } = {},
): Promise<string> {
  const zip = new yazl.ZipFile();
  for (const [name, content] of Object.entries(entries))
    zip.addBuffer(content, name, { compress: false, ...options });
  zip.end({ forceZip64Format: options.forceZip64Format ?? false, comment: '' });
  const path = join(folder, 'archive.pt');
  await pipeline(zip.outputStream, createWriteStream(path));
  return path;
}

const whole = { 'a/data.pkl': pickle, 'a/data/0': values, 'a/byteorder': Buffer.from('little') };

test("another writer's zip and zip64 are read", async () => {
  for (const forceZip64Format of [false, true]) {
    const { parameters } = await readCheckpoint(await archive(whole, { forceZip64Format }));
    assert.deepEqual(plain(parameters), { x: ['float32', [3], [1, 2, 3]] });
  }
});

test('archives that torch.save does not write are refused with the reason', async () => {
  const refuse = async (
    entries: Record<string, Buffer>,
    kind: typeof DataLossError | typeof UnsupportedError,
    reason: RegExp,
    options = {},
  ) => {
    const path = await archive(entries, options);
    await assert.rejects(readCheckpoint(path), (error: Error) => {
      assert.ok(error instanceof kind, String(error));
      assert.match(error.message, reason);
      assert.ok(error.message.includes(path), 'the file is named');
      return true;
    });
  };
  await refuse(whole, UnsupportedError, /compressed/, { compress: true });
  await refuse({ ...whole, 'a/byteorder': Buffer.from('big') }, UnsupportedError, /byte order "big"/);
  await refuse({ ...whole, 'a/constants.pkl': pickle }, UnsupportedError, /TorchScript/);
  await refuse({ 'a/data/0': values }, DataLossError, /without data\.pkl/);
  await refuse({ 'a/data.pkl': pickle }, DataLossError, /storage "0" should have 12 bytes and has none/);
  await refuse({ ...whole, 'a/data/0': values.subarray(4) }, DataLossError, /12 bytes and has 8/);
});

test('a legacy file whose counts lie is refused', async () => {
  const magic = Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex');
  const machine = writePickle(new Map([['little_endian', true]]));
  // The legacy persistent id ends with None, for no view.
  const object = Buffer.from(pickle.toString('latin1').replace('K\x03tQ', 'K\x03NtQ'), 'latin1');
  const count = (n: bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(n);
    return bytes;
  };
  const path = join(folder, 'legacy.pt');
  const read = (keys: string[], ...rest: Buffer[]) => {
    const head = [magic, writePickle(1001), machine, object, writePickle(keys)];
    writeFileSync(path, Buffer.concat([...head, ...rest]));
    return readCheckpoint(path);
  };
  assert.deepEqual(plain((await read(['0'], count(3n), values)).parameters), {
    x: ['float32', [3], [1, 2, 3]],
  });
  await assert.rejects(read(['0'], count(2n ** 40n), values), /should have 3 elements and has 1099511627776/);
  await assert.rejects(read(['0'], count(-1n), values), DataLossError);
  await assert.rejects(read(['0'], count(3n), values.subarray(1)), /truncated/);
  await assert.rejects(read(['1'], count(3n), values), /"1" that no tensor uses/);
  await assert.rejects(read([], count(3n), values), /"0" should have 12 bytes and has none/);
});
