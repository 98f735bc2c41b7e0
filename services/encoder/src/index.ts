export { composeEncoder, type EncoderConfig } from './compose.ts';
export { createHandlers, type HandlerOptions } from './handlers.ts';
export { encoderSettings } from './settings.ts';
