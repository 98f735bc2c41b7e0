/** Milvus's PlaceholderType of a vector of float32. */
const FLOAT_VECTOR = 101;

/** What Milvus's own clients name the only group of queries. */
const TAG = '$0';

/**
 * Query vectors as Search takes them: the bytes of a message common.PlaceholderGroup (protobuf wire format) with one
 * PlaceholderValue {tag = 1, type = 2, values = 3}, whose values are little-endian float32.
 */
export function placeholderGroup(vectors: Float32Array, dimension: number): Buffer {
  const parts = [bytesField(1, Buffer.from(TAG)), Buffer.from([(2 << 3) | 0, FLOAT_VECTOR])];
  for (let from = 0; from < vectors.length; from += dimension) {
    const { buffer, byteOffset, byteLength } = vectors.subarray(from, from + dimension);
    parts.push(bytesField(3, Buffer.from(buffer, byteOffset, byteLength)));
  }
  return bytesField(1, Buffer.concat(parts));
}

/** A length-delimited field. */
function bytesField(number: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2]), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}
