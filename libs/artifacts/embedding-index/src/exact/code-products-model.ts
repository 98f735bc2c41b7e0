// The graph of one node that the scan runs, written as ONNX (protocol buffers; field numbers from onnx.proto).

const UINT8 = 2;
const INT8 = 3;
const INT32 = 6;
const IR_VERSION = 8;
const OPSET = 17;

/** Inputs `rows` uint8 [n, d] and `queries` int8 [d, q]; output `products` int32 [n, q]. */
export function codeProductsModel(): Uint8Array {
  const node = message(text(1, 'rows'), text(1, 'queries'), text(2, 'products'), text(4, 'MatMulInteger'));
  const graph = message(
    part(1, node),
    text(2, 'code-products'),
    part(11, matrix('rows', UINT8, 'n', 'd')),
    part(11, matrix('queries', INT8, 'd', 'q')),
    part(12, matrix('products', INT32, 'n', 'q')),
  );
  return message(number(1, IR_VERSION), part(7, graph), part(8, message(number(2, OPSET))));
}

/** A ValueInfoProto of a matrix with named sizes. */
function matrix(name: string, type: number, ...sizes: string[]): Buffer {
  const shape = message(...sizes.map((size) => part(1, message(text(2, size)))));
  return message(text(1, name), part(2, message(part(1, message(number(1, type), part(2, shape))))));
}

const message = (...fields: Buffer[]): Buffer => Buffer.concat(fields);
/** All numbers here are below 128: one byte each. */
const number = (field: number, value: number): Buffer => Buffer.of(field << 3, value);
const part = (field: number, content: Buffer): Buffer =>
  Buffer.concat([Buffer.of((field << 3) | 2), varint(content.length), content]);
const text = (field: number, content: string): Buffer => part(field, Buffer.from(content));

function varint(value: number): Buffer {
  return value < 128 ? Buffer.of(value) : Buffer.of((value & 127) | 128, ...varint(value >> 7));
}
