export * from './fake-collector.ts';
