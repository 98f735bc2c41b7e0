/**
 * The collection of an index or alias: Milvus's names have letters, digits and '_' only, so that any other character, and '_'
 * itself, becomes '_' and its two hexadecimal digits.
 */
export function collectionName(prefix: string, name: string): string {
  const encoded = name.replace(
    /[^A-Za-z0-9]/g,
    (character) => `_${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
  return prefix + encoded;
}

/** The index or alias of a collection; undefined for one that is not ours. */
export function indexName(prefix: string, collection: string): string | undefined {
  if (!collection.startsWith(prefix)) return undefined;
  const encoded = collection.slice(prefix.length);
  if (!/^(?:[A-Za-z0-9]|_[0-9a-f]{2})+$/.test(encoded)) return undefined;
  return encoded.replace(/_([0-9a-f]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
}
