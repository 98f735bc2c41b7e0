// Bounds of what is read and written here. Each stops damaged or hostile input before it costs memory.

/** A line of a .tsv or .jsonl file: an image of 96 MiB in base64, or a text with six million image ids. */
export const MAX_LINE_BYTES = 128 * 1024 * 1024;
/** A value in an LMDB: what a line can hold. */
export const MAX_VALUE_BYTES = MAX_LINE_BYTES;
/**
 * A text's UTF-8 when it is written: hundreds of times what a text tower reads, and below the 64 KiB at which Python
 * starts to split a pickle into several frames.
 */
export const MAX_TEXT_BYTES = 32 * 1024;
/** Read from a file at a time and committed as one LMDB transaction: a few ms of work, and not far above a CPU's cache. */
export const READ_BYTES = 2 * 1024 * 1024;
/** The map a new LMDB starts with; it doubles when it is full. */
export const INITIAL_MAP_BYTES = 256 * 1024 * 1024;
/** Pages of an LMDB's tree kept in memory by a reader: 32 MiB at 4 KiB, the whole tree of some 800,000 images. */
export const MAX_CACHED_PAGES = 8192;
/** Levels of an LMDB's tree; LMDB's own cursor has room for as many. */
export const MAX_TREE_DEPTH = 32;
/** Problems listed per split by a check; the rest is counted only. */
export const MAX_REPORTED_PROBLEMS = 100;
/** Characters of a broken value that an error shows. */
export const MAX_SHOWN_CHARACTERS = 40;
/** A build's temporary folder not written to for this long was left by a killed one. */
export const ABANDONED_AFTER_MS = 10 * 60 * 1000;
/** Records of a check between two looks at the signal and the event loop. */
export const RECORDS_PER_TURN = 256;
