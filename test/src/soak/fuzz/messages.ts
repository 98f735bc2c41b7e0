import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { Chance } from '../chance.ts';
import { bytes, integer, type Known, real, text, wrongUtf8 } from './values.ts';

/** Deeper messages than any of ours; a message that holds itself ends here. */
const MAX_DEPTH = 6;

/** One above what a batch may hold. */
const TOO_MANY = 1_025;

/** The bytes of a message of this type: mostly one, with boundary values in its fields, sometimes none. */
export function makeMessage(message: DescMessage, chance: Chance, known: Known): Buffer {
  const made = Buffer.from(writeFields(message, chance, known, 0).finish());
  return chance.happens(0.1) ? damage(made, chance) : made;
}

/** BinaryWriter's own would refuse the largest field number. */
const begin = (writer: BinaryWriter, number: number, wireType: WireType): BinaryWriter =>
  writer.uint32(((number << 3) | wireType) >>> 0);

function writeFields(message: DescMessage, chance: Chance, known: Known, depth: number): BinaryWriter {
  const writer = new BinaryWriter();
  const chosen = new Map(message.oneofs.map((oneof) => [oneof.name, chance.one(oneof.fields)]));
  // Most requests with many options are only right with few of them.
  const share = message.fields.length > 12 ? 0.15 : 0.85;
  for (const field of message.fields) {
    // Sometimes no member of a oneof, or several.
    if (field.oneof && chosen.get(field.oneof.name) !== field && !chance.happens(0.03)) continue;
    if (!chance.happens(share)) continue;
    writeField(writer, field, chance, known, depth);
  }
  if (chance.happens(0.05)) writeUnknown(writer, chance);
  return writer;
}

function writeField(
  writer: BinaryWriter,
  field: DescField,
  chance: Chance,
  known: Known,
  depth: number,
): void {
  for (let left = countOf(field, chance); left > 0; left -= 1) {
    if (chance.happens(0.02)) writeWrongType(writer, field, chance);
    else if (field.fieldKind === 'map') writeEntry(writer, field, chance, known);
    else if (field.message) {
      if (depth >= MAX_DEPTH) return;
      const inner = writeFields(field.message, chance, known, depth + 1).finish();
      begin(writer, field.number, WireType.LengthDelimited).bytes(inner);
    } else writeScalar(writer, field.number, scalarOf(field), field.name, chance, known);
  }
}

function countOf(field: DescField, chance: Chance): number {
  if (field.fieldKind !== 'list' && field.fieldKind !== 'map') return chance.happens(0.03) ? 2 : 1;
  if (chance.happens(0.01)) return TOO_MANY;
  return chance.one([0, 1, 1, 2, 3, 8]);
}

/** Enumerations travel as int32. */
const scalarOf = (field: DescField): ScalarType =>
  field.fieldKind === 'enum' || (field.fieldKind === 'list' && field.listKind === 'enum')
    ? ScalarType.INT32
    : (field as { scalar: ScalarType }).scalar;

function writeScalar(
  writer: BinaryWriter,
  number: number,
  type: ScalarType,
  name: string,
  chance: Chance,
  known: Known,
): void {
  const tag = (wireType: WireType) => begin(writer, number, wireType);
  switch (type) {
    case ScalarType.STRING: {
      const value = chance.happens(0.03) ? wrongUtf8(chance) : Buffer.from(text(chance, known.texts[name]));
      tag(WireType.LengthDelimited).bytes(value);
      break;
    }
    case ScalarType.BYTES:
      tag(WireType.LengthDelimited).bytes(bytes(chance, known));
      break;
    case ScalarType.DOUBLE:
      tag(WireType.Bit64).double(real(chance));
      break;
    case ScalarType.FLOAT:
      tag(WireType.Bit32).raw(float32Bytes(real(chance)));
      break;
    default:
      tag(WireType.Varint).uint64(integer(chance));
  }
}

/** BinaryWriter refuses numbers that no float32 can be. */
const float32Bytes = (value: number): Uint8Array => new Uint8Array(Float32Array.of(value).buffer);

function writeEntry(
  writer: BinaryWriter,
  field: DescField & { fieldKind: 'map' },
  chance: Chance,
  known: Known,
): void {
  const entry = new BinaryWriter();
  writeScalar(entry, 1, field.mapKey, `${field.name} key`, chance, known);
  if (field.mapKind === 'scalar') writeScalar(entry, 2, field.scalar, field.name, chance, known);
  begin(writer, field.number, WireType.LengthDelimited).bytes(entry.finish());
}

function writeWrongType(writer: BinaryWriter, { number }: DescField, chance: Chance): void {
  if (chance.happens(0.5)) begin(writer, number, WireType.Varint).uint64(integer(chance));
  else begin(writer, number, WireType.LengthDelimited).bytes(chance.bytes(chance.below(20)));
}

function writeUnknown(writer: BinaryWriter, chance: Chance): void {
  const number = chance.one([15, 99, 19_000, 536_870_911]);
  begin(writer, number, WireType.LengthDelimited).bytes(chance.bytes(chance.below(40)));
}

/** What a broken client or a broken line makes of a message. */
function damage(made: Buffer, chance: Chance): Buffer {
  const damaged = Buffer.from(made);
  switch (chance.below(5)) {
    case 0:
      return damaged.subarray(0, chance.below(made.length + 1));
    case 1:
      return chance.bytes(chance.below(200));
    case 2:
      return Buffer.concat([damaged, chance.bytes(1 + chance.below(8))]);
    // A length that reaches far beyond the end.
    case 3:
      return Buffer.concat([damaged, Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])]);
    default:
      for (let i = 1 + chance.below(3); i > 0 && damaged.length > 0; i -= 1)
        damaged[chance.below(damaged.length)] = chance.below(256);
      return damaged;
  }
}
