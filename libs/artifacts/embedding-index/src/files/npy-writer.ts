import { open } from 'node:fs/promises';
import { InvalidInputError, type NdArray, replaceFileAtomically, sizeOf } from '@online-cnclip/foundation';
import { bytesOf, requireLittleEndian } from './byte-order.ts';
import { formatNpyHeader } from './npy-header.ts';

/** Writes an array as numpy.save does. The path holds the old file or the whole new one. */
export async function writeNpy(path: string, { shape, data }: NdArray<'float32'>): Promise<void> {
  await writeNpyRows(path, shape, [data]);
}

/**
 * The same for numbers that come in parts.
 *
 * @throws InvalidInputError when the parts do not fill the shape; the path is then as it was.
 */
export async function writeNpyRows(
  path: string,
  shape: readonly number[],
  parts: AsyncIterable<Float32Array> | Iterable<Float32Array>,
): Promise<void> {
  requireLittleEndian();
  await replaceFileAtomically(path, async (temporaryPath) => {
    const file = await open(temporaryPath, 'wx');
    try {
      await file.writeFile(formatNpyHeader(shape));
      let written = 0;
      for await (const part of parts) {
        await file.writeFile(bytesOf(part));
        written += part.length;
      }
      if (written !== sizeOf(shape))
        throw new InvalidInputError(`${written} values do not fill the shape [${shape}]`, { place: path });
    } finally {
      await file.close();
    }
  });
}
