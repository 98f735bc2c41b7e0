export { composeEncoder, type EncoderConfig } from './compose.ts';
export { encoderCosts } from './costs.ts';
export { createHandlers, type HandlerOptions } from './handlers.ts';
export { encoderSettings } from './settings.ts';
