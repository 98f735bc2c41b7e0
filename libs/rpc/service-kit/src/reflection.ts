import { BinaryReader } from '@bufbuild/protobuf/wire';
import type { Server } from '@grpc/grpc-js';
import type { PackageDefinition } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';

/** Field number of `file` in google.protobuf.FileDescriptorSet. */
const FILE_FIELD = 1;

/** Splits a serialized FileDescriptorSet into its serialized FileDescriptorProtos. */
export function splitDescriptorSet(bytes: Uint8Array): Buffer[] {
  const reader = new BinaryReader(bytes);
  const files: Buffer[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === FILE_FIELD) files.push(Buffer.from(reader.bytes()));
    else reader.skip(wireType);
  }
  return files;
}

/**
 * Adds reflection v1 and v1alpha to a server.
 *
 * Of a package definition the reflection service reads nothing but `fileDescriptorProtos`. It gets the compiler's own
 * descriptors in that form, because those that proto-loader rebuilds lose the imports of well-known types.
 */
export function addReflection(server: Server, descriptorSet: Uint8Array, services: readonly string[]): void {
  const files = { fileDescriptorProtos: splitDescriptorSet(descriptorSet) };
  const definition = { files } as unknown as PackageDefinition;
  new ReflectionService(definition, { services: [...services] }).addToServer(server);
}
