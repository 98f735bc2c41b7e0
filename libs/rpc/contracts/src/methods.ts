/** What the generator writes for one rpc; the message types are read off its functions. */
export interface MethodShape {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  requestSerialize(value: never): Buffer;
  requestDeserialize(bytes: Buffer): unknown;
  responseSerialize(value: never): Buffer;
  responseDeserialize(bytes: Buffer): unknown;
}

/** A generated service definition (`EncoderServiceService`): its methods by their camelCase names. */
export type ServiceShape = Readonly<Record<string, MethodShape>>;

export type RequestOf<M extends MethodShape> = ReturnType<M['requestDeserialize']>;
export type ResponseOf<M extends MethodShape> = ReturnType<M['responseDeserialize']>;

/** `onlinecnclip.encoder.v1.EncoderService`. */
export function serviceName(definition: ServiceShape): string {
  const [first] = Object.values(definition);
  return first?.path.split('/')[1] ?? '';
}
