import { fileURLToPath } from 'node:url';

export * from './methods.ts';
export * from './status.ts';
export * from './transport.ts';
export * from './vectors.ts';

/**
 * The serialized google.protobuf.FileDescriptorSet of every service, grpc.health.v1 and the well-known types
 * they import, with comments.
 */
export const descriptorSetPath: string = fileURLToPath(new URL('./gen/descriptors.binpb', import.meta.url));
