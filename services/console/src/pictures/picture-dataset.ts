import { type Dataset, openDataset } from '@online-cnclip/dataset';
import { NotFoundError } from '@online-cnclip/foundation';
import type { PictureSource } from './picture-sources.ts';

/** The first bytes of the formats that browsers show. */
const SIGNATURES: readonly (readonly [mediaType: string, offset: number, bytes: string])[] = [
  ['image/png', 0, '\x89PNG'],
  ['image/jpeg', 0, '\xff\xd8\xff'],
  ['image/gif', 0, 'GIF8'],
  ['image/webp', 8, 'WEBP'],
];

/**
 * Images of data sets by their image ids, for indexes that were filled with them.
 *
 * @param folders LMDB folder of the split by the index's name.
 * @throws NotFoundError, DataLossError when one of them is no data set.
 */
export function pictureDatasets(folders: ReadonlyMap<string, string>): PictureSource {
  const datasets = new Map<string, Dataset>(
    [...folders].map(([index, folder]) => [index, openDataset(folder)]),
  );
  const read = (index: string, id: bigint) => {
    try {
      const bytes = datasets.get(index)?.image(String(id));
      const mediaType = bytes && mediaTypeOf(bytes);
      return bytes && mediaType ? { bytes, mediaType } : undefined;
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  };
  return {
    knows: (index) => datasets.has(index),
    has: async (index, id) => read(index, id) !== undefined,
    read: async (index, id) => read(index, id),
    close: () => {
      for (const dataset of datasets.values()) dataset.close();
    },
  };
}

function mediaTypeOf(bytes: Buffer): string | undefined {
  return SIGNATURES.find(([, offset, signature]) =>
    bytes.subarray(offset, offset + signature.length).equals(Buffer.from(signature, 'latin1')),
  )?.[0];
}
