import { readFileSync } from 'node:fs';
import { createFileRegistry, type DescMessage, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { descriptorSetPath } from '@online-cnclip/contracts';

/** An rpc, with all that is needed to call it with any bytes and to read its answer. */
export interface Method {
  /** `EncoderService`. */
  readonly service: string;
  readonly name: string;
  /** `/onlinecnclip.encoder.v1.EncoderService/EncodeText`. */
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly input: DescMessage;
  readonly output: DescMessage;
}

/** Every rpc of every service of ours, from the descriptors that reflection serves too. */
export function ourMethods(): Method[] {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptorSetPath)));
  const methods: Method[] = [];
  for (const type of registry) {
    if (type.kind !== 'service' || !type.typeName.startsWith('onlinecnclip.')) continue;
    for (const { name, methodKind, input, output } of type.methods)
      methods.push({
        service: type.name,
        name,
        path: `/${type.typeName}/${name}`,
        requestStream: methodKind === 'client_streaming' || methodKind === 'bidi_streaming',
        responseStream: methodKind === 'server_streaming' || methodKind === 'bidi_streaming',
        input,
        output,
      });
  }
  return methods;
}

/** Names of the message's fields and of those within, as the .proto has them. */
export function fieldNames(message: DescMessage, seen = new Set<string>()): Set<string> {
  const names = new Set<string>();
  if (seen.has(message.typeName)) return names;
  seen.add(message.typeName);
  for (const field of message.fields) {
    names.add(field.name);
    if (field.oneof) names.add(field.oneof.name);
    if (field.message) for (const inner of fieldNames(field.message, seen)) names.add(inner);
  }
  return names;
}
