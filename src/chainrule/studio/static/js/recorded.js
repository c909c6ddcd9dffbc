// Answers that were recorded when a file was written.

// From base64 of gzip: lines of question, tab and answer. Gives answers, still as text, by question.
export async function unpackedAnswers(packed) {
  const bytes = Uint8Array.from(atob(packed), sign => sign.charCodeAt(0));
  const text = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).text();
  return new Map(text.split('\n').filter(Boolean).map(line => [line.slice(0, line.indexOf('\t')), line.slice(line.indexOf('\t') + 1)]));
}
