// Server-sent events over fetch: EventSource cannot send the token.

import { send } from "./api.js";

const DEFAULT_RETRY_MS = 3_000;

/**
 * Reads a stream until it ends. `tell(event, data)` hears each event. Answers the last id seen, when to
 * come back, and the status the server answered with.
 */
export async function read(path, lastId, tell, signal) {
  const headers = { Accept: "text/event-stream" };
  if (lastId) headers["Last-Event-ID"] = lastId;
  const answer = await send("GET", path, { headers, signal });
  const isStream = answer.ok && answer.headers.get("Content-Type")?.startsWith("text/event-stream");
  const seen = { lastId, retry: DEFAULT_RETRY_MS, status: isStream ? 200 : answer.status || 404 };
  if (!isStream) {
    await answer.body?.cancel();
    seen.status = answer.ok ? 404 : answer.status;
    return seen;
  }
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return seen;
    const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) take(block, seen, tell);
  }
}

/** One event: lines of `field: value`. A line that begins with a colon is only a sign of life. */
function take(block, seen, tell) {
  let event = "message";
  const data = [];
  for (const line of block.split("\n")) {
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
    if (field === "event") event = value;
    else if (field === "data") data.push(value);
    else if (field === "id") seen.lastId = value;
    else if (field === "retry" && /^\d+$/.test(value)) seen.retry = Number(value);
  }
  if (data.length > 0) tell(event, JSON.parse(data.join("\n")));
}
