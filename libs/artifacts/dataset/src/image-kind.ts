/** Kinds of image file, by their first bytes. */
const SIGNATURES: readonly (readonly [kind: string, matches: (head: string) => boolean])[] = [
  ['jpeg', (head) => head.startsWith('\xff\xd8\xff')],
  ['png', (head) => head.startsWith('\x89PNG\r\n\x1a\n')],
  ['gif', (head) => head.startsWith('GIF87a') || head.startsWith('GIF89a')],
  ['webp', (head) => head.startsWith('RIFF') && head.startsWith('WEBP', 8)],
  ['bmp', (head) => head.startsWith('BM')],
  ['tiff', (head) => head.startsWith('II*\0') || head.startsWith('MM\0*')],
  ['avif', (head) => head.startsWith('ftypavi', 4)],
];

/** The kind of image file that the bytes begin as; undefined for none that is known. Nothing is decoded. */
export function imageKind(bytes: Uint8Array): string | undefined {
  const head = String.fromCharCode(...bytes.subarray(0, 16));
  return SIGNATURES.find(([, matches]) => matches(head))?.[0];
}
