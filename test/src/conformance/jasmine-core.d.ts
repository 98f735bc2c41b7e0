// What is used of jasmine-core, which ships no types.
declare module 'jasmine-core' {
  interface SpecResult {
    readonly fullName: string;
    readonly status: 'passed' | 'failed' | 'pending' | 'excluded';
    readonly failedExpectations: readonly { readonly message: string }[];
  }
  interface Environment {
    configure(options: {
      random?: boolean;
      forbidDuplicateNames?: boolean;
      verboseDeprecations?: boolean;
      specFilter?: (spec: { getFullName(): string }) => boolean;
    }): void;
    clearReporters(): void;
    addReporter(reporter: { specDone(result: SpecResult): void }): void;
    execute(): Promise<{ readonly overallStatus: string }>;
  }
  const jasmineCore: {
    readonly jasmine: { getEnv(): Environment };
    installGlobals(): void;
  };
  export default jasmineCore;
}
