/**
 * Writes the subset of ONNX's protobuf messages that traced graphs use. Field numbers are those of the ONNX
 * intermediate representation (onnx.proto, IR version 10).
 */
import { BinaryWriter } from '@bufbuild/protobuf/wire';

/** What recorded values are of; `float16` only where a finished recording is put into half precision. */
export type ElementType = 'float32' | 'float16' | 'int32' | 'int64' | 'bool';

/** ONNX's TensorProto.DataType. */
export const ONNX_DATA_TYPE: Readonly<Record<ElementType, number>> = {
  float32: 1,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
};

/** One attribute of a node, tagged with its ONNX type. */
export type Attribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly ints: readonly number[] }
  | { readonly string: string };

export interface NodeMessage {
  readonly name: string;
  readonly op: string;
  readonly domain: string;
  /** An empty name marks an optional input that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

export interface InitializerMessage {
  readonly name: string;
  readonly elementType: ElementType;
  readonly shape: readonly number[];
  /** Little-endian elements, or the location of an external file and the number of bytes there. */
  readonly content: Uint8Array | { readonly location: string; readonly byteLength: number };
}

export interface ValueInfoMessage {
  readonly name: string;
  readonly elementType: ElementType;
  readonly shape: readonly (number | string)[];
}

export interface GraphMessage {
  readonly name: string;
  readonly nodes: readonly NodeMessage[];
  readonly initializers: readonly InitializerMessage[];
  readonly inputs: readonly ValueInfoMessage[];
  readonly outputs: readonly ValueInfoMessage[];
}

const IR_VERSION = 10;
export const OPSET_VERSION = 20;
const WIRE_VARINT = 0;
const WIRE_FIXED32 = 5;
const WIRE_BYTES = 2;
const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, ints: 7 } as const;
const EXTERNAL_DATA_LOCATION = 1;

const field = (number: number, wireType: number): number => number * 8 + wireType;
const varint = (number: number) => field(number, WIRE_VARINT);
const bytes = (number: number) => field(number, WIRE_BYTES);

/** A serialized ModelProto. */
export function encodeModel(graph: GraphMessage): Uint8Array {
  const writer = new BinaryWriter();
  writer.uint32(varint(1)).int64(IR_VERSION);
  writer.uint32(bytes(2)).string('online-cnclip');
  writer.uint32(bytes(7)).fork();
  writeGraph(writer, graph);
  writer.join();
  for (const [domain, version] of [
    ['', OPSET_VERSION],
    ['com.microsoft', 1],
  ] as const) {
    writer.uint32(bytes(8)).fork();
    writer.uint32(bytes(1)).string(domain).uint32(varint(2)).int64(version);
    writer.join();
  }
  return writer.finish();
}

function writeGraph(writer: BinaryWriter, graph: GraphMessage): void {
  for (const node of graph.nodes) {
    writer.uint32(bytes(1)).fork();
    writeNode(writer, node);
    writer.join();
  }
  writer.uint32(bytes(2)).string(graph.name);
  for (const initializer of graph.initializers) {
    writer.uint32(bytes(5)).fork();
    writeInitializer(writer, initializer);
    writer.join();
  }
  for (const [number, values] of [
    [11, graph.inputs],
    [12, graph.outputs],
  ] as const)
    for (const value of values) {
      writer.uint32(bytes(number)).fork();
      writeValueInfo(writer, value);
      writer.join();
    }
}

function writeNode(writer: BinaryWriter, node: NodeMessage): void {
  for (const input of node.inputs) writer.uint32(bytes(1)).string(input);
  for (const output of node.outputs) writer.uint32(bytes(2)).string(output);
  writer.uint32(bytes(3)).string(node.name);
  writer.uint32(bytes(4)).string(node.op);
  for (const [name, attribute] of Object.entries(node.attributes)) {
    writer.uint32(bytes(5)).fork();
    writeAttribute(writer, name, attribute);
    writer.join();
  }
  if (node.domain) writer.uint32(bytes(7)).string(node.domain);
}

function writeAttribute(writer: BinaryWriter, name: string, attribute: Attribute): void {
  writer.uint32(bytes(1)).string(name);
  if ('float' in attribute) {
    writer.uint32(field(2, WIRE_FIXED32)).float(attribute.float);
    writer.uint32(varint(20)).int32(ATTRIBUTE_TYPE.float);
  } else if ('int' in attribute) {
    writer.uint32(varint(3)).int64(attribute.int);
    writer.uint32(varint(20)).int32(ATTRIBUTE_TYPE.int);
  } else if ('string' in attribute) {
    writer.uint32(bytes(4)).bytes(new TextEncoder().encode(attribute.string));
    writer.uint32(varint(20)).int32(ATTRIBUTE_TYPE.string);
  } else {
    for (const value of attribute.ints) writer.uint32(varint(8)).int64(value);
    writer.uint32(varint(20)).int32(ATTRIBUTE_TYPE.ints);
  }
}

function writeInitializer(writer: BinaryWriter, initializer: InitializerMessage): void {
  for (const dimension of initializer.shape) writer.uint32(varint(1)).int64(dimension);
  writer.uint32(varint(2)).int32(ONNX_DATA_TYPE[initializer.elementType]);
  writer.uint32(bytes(8)).string(initializer.name);
  if (initializer.content instanceof Uint8Array) {
    writer.uint32(bytes(9)).bytes(initializer.content);
    return;
  }
  const { location, byteLength } = initializer.content;
  for (const [key, value] of [
    ['location', location],
    ['offset', '0'],
    ['length', String(byteLength)],
  ] as const) {
    writer.uint32(bytes(13)).fork();
    writer.uint32(bytes(1)).string(key).uint32(bytes(2)).string(value);
    writer.join();
  }
  writer.uint32(varint(14)).int32(EXTERNAL_DATA_LOCATION);
}

function writeValueInfo(writer: BinaryWriter, value: ValueInfoMessage): void {
  writer.uint32(bytes(1)).string(value.name);
  writer.uint32(bytes(2)).fork();
  writer.uint32(bytes(1)).fork();
  writer.uint32(varint(1)).int32(ONNX_DATA_TYPE[value.elementType]);
  writer.uint32(bytes(2)).fork();
  for (const dimension of value.shape) {
    writer.uint32(bytes(1)).fork();
    if (typeof dimension === 'string') writer.uint32(bytes(2)).string(dimension);
    else writer.uint32(varint(1)).int64(dimension);
    writer.join();
  }
  writer.join();
  writer.join();
  writer.join();
}
