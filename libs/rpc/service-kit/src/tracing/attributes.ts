/** Attributes of spans, by the semantic conventions of OpenTelemetry where they have a name for it. */
export const ATTRIBUTE = {
  system: 'rpc.system',
  service: 'rpc.service',
  method: 'rpc.method',
  status: 'rpc.grpc.status_code',
  peer: 'network.peer.address',
  requestId: 'onlinecnclip.request_id',
  httpMethod: 'http.request.method',
  httpRoute: 'http.route',
  httpStatus: 'http.response.status_code',
} as const;

/** Name under which spans say who made them. */
export const TRACER_NAME = 'online-cnclip';
