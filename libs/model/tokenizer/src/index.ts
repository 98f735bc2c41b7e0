export {
  DEFAULT_VOCABULARY_PATH,
  loadTokenizer,
  MAX_CONTEXT_LENGTH,
  MAX_TEXT_LENGTH,
  MIN_CONTEXT_LENGTH,
  type Tokenizer,
} from './tokenizer.ts';
