export { type TlsMaterial, Watched } from '@online-cnclip/security';
export * from './address.ts';
export {
  type Charge,
  type CostRule,
  type Costs,
  chargeTo,
  DEFAULT_BUDGET,
  MAX_REQUEST_STREAMS,
} from './admission.ts';
export { Budget, type BudgetLimits } from './budget.ts';
export { type CallContext, REQUEST_ID_KEY } from './call-context.ts';
export { ERROR_ID_KEY, itemStatus } from './error-boundary.ts';
export { type Handler, type Handlers, type Implementation, implement } from './handlers.ts';
export { HEALTH_SERVICE, Health, LIVENESS } from './health.ts';
export * from './main.ts';
export * from './metric-catalogue.ts';
export * from './metrics-server.ts';
export * from './process.ts';
export { DEFAULT_PROFILE_FOLDER, PROFILE_MS, profileOnSignal } from './profile.ts';
export { isLoopback, requireLoopback } from './security/plaintext.ts';
export {
  openProcessSecurity,
  type ProcessSecurity,
  type ServerSecurity,
} from './security/process-security.ts';
export { HANDSHAKE_TIMEOUT_MS } from './security/tls-listener.ts';
export * from './service.ts';
export * from './settings.ts';
export * from './telemetry.ts';
export {
  type CallSpan,
  inSpan,
  startRequestSpan,
  traceFields,
  traceOfCall,
  traceparent,
  untraced,
} from './tracing/spans.ts';
export * from './tracing/start-tracing.ts';
