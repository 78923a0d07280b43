// How a coach's connections stand, as it happens: by a stream of events, and by looking every few
// seconds where there is no stream.

import * as api from "./api.js";
import { read } from "./stream.js";

const LOOK_MS = 2_000;
/** After a stream broke, so long is looked before another is tried. */
const TRY_AGAIN_MS = 15_000;
const NO_STREAM = [404, 405, 406, 501];

/**
 * Tells what changes until the answered function is called:
 * `connections(all)`, `progress(id, current)`, `ended(id)` when jobs of a connection ended,
 * `mode("live" | "polling" | "lost")`, and `refused(problem)` when the token is none any more.
 */
export function watch(coach, tell) {
  const over = new AbortController();
  run(coach, tell, over.signal).catch((problem) => {
    if (!over.signal.aborted) tell.refused(problem);
  });
  return () => over.abort();
}

async function run(coach, tell, signal) {
  const known = new Map();
  let hasStream = true;
  let lastId = "";
  while (!signal.aborted) {
    const isReached = await look(coach, known, tell, signal);
    if (isReached && hasStream) {
      const seen = await follow(coach, known, lastId, tell, signal);
      lastId = seen.lastId;
      hasStream = !NO_STREAM.includes(seen.status);
      if (seen.status === 200) {
        await pause(seen.retry, signal);
        continue;
      }
    }
    tell.mode(isReached ? "polling" : "lost");
    await keepLooking(coach, known, hasStream ? TRY_AGAIN_MS : Infinity, tell, signal);
  }
}

async function keepLooking(coach, known, forMs, tell, signal) {
  const until = performance.now() + forMs;
  while (!signal.aborted && performance.now() < until) {
    await pause(LOOK_MS, signal);
    // Nobody sees a hidden page.
    if (document.hidden) continue;
    tell.mode((await look(coach, known, tell, signal)) ? "polling" : "lost");
  }
}

/** Whether the server was reached; a token that is refused is thrown. */
async function look(coach, known, tell, signal) {
  try {
    const { connections } = await api.connections(coach);
    if (signal.aborted) return false;
    known.clear();
    for (const connection of connections) known.set(connection.id, connection);
    tell.connections(connections);
    return true;
  } catch (problem) {
    if (problem.status === 401 || problem.status === 403) throw problem;
    return false;
  }
}

async function follow(coach, known, lastId, tell, signal) {
  const hear = (event, data) => {
    if (signal.aborted) return;
    tell.mode("live");
    if (event === "connection") known.set(data.id, data);
    if (event === "disconnected") known.delete(data.connection_id);
    if (event === "connection" || event === "disconnected") tell.connections([...known.values()]);
    if (event === "progress") tell.progress(data.connection_id, data.current);
    if (event === "jobs") tell.ended(data.connection_id);
  };
  try {
    return await read(`coaches/${encodeURIComponent(coach)}/events`, lastId, hear, signal);
  } catch (problem) {
    if (signal.aborted) return { lastId, status: 0 };
    return { lastId, status: problem.status ?? 0 };
  }
}

function pause(ms, signal) {
  return new Promise((resume) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resume();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
