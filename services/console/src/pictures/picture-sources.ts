/** A picture of an item, ready to be sent. */
export interface Picture {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
}

/** Where pictures of an index's items are: the ranker keeps vectors only. */
export interface PictureSource {
  /** Whether it has pictures for the index at all. */
  knows(index: string): boolean;
  /** Whether there is a picture of that item, without reading it whole. */
  has(index: string, id: bigint): Promise<boolean>;
  /** @returns undefined when there is none. */
  read(index: string, id: bigint): Promise<Picture | undefined>;
  close(): void;
}

/** The first of the sources that knows the index answers for it. */
export function joinSources(sources: readonly PictureSource[]): PictureSource {
  const sourceOf = (index: string) => sources.find((source) => source.knows(index));
  return {
    knows: (index) => sourceOf(index) !== undefined,
    has: async (index, id) => (await sourceOf(index)?.has(index, id)) ?? false,
    read: async (index, id) => sourceOf(index)?.read(index, id),
    close: () => {
      for (const source of sources) source.close();
    },
  };
}

/** The contract's form of an index's name; none of them can leave a folder. */
export const INDEX_NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$/;
