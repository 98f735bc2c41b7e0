export { connectClients, type ServiceAddresses } from './clients.ts';
export { type ConsoleParts, createConsole } from './server.ts';
