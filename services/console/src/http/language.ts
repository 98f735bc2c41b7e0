/** The page's languages, as `lang` attributes have them. */
export const LANGUAGES = ['en', 'zh-CN'] as const;
export type Language = (typeof LANGUAGES)[number];

/** The better of the page's languages by an Accept-Language header (RFC 9110, 12.5.4); English when it wants neither. */
export function preferredLanguage(header: string | undefined): Language {
  let best: { language: Language; quality: number } = { language: 'en', quality: 0 };
  for (const part of (header ?? '').split(',')) {
    const [range = '', ...parameters] = part
      .trim()
      .toLowerCase()
      .split(/\s*;\s*/);
    const language = range.startsWith('zh') ? 'zh-CN' : range.startsWith('en') ? 'en' : undefined;
    const quality = Number(parameters.find((one) => one.startsWith('q='))?.slice(2) ?? 1);
    if (language && quality > best.quality) best = { language, quality };
  }
  return best.language;
}
