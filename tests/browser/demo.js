// The demo as a program, and what a test may ask of it besides the page: the API as an operator, and
// the simulator's controls.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** Node 20 has no SQLite of its own. */
const RUN_STATEMENTS = `
import sqlite3, sys
# Each by itself: the demo goes on meanwhile.
database = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
for statement in sys.stdin.read().split(";"):
    database.execute(statement)
`;

/** Two that start at the same moment may want the same ports: who did not get them tries again. */
export async function startDemo(attempts = 3) {
  const place = mkdtempSync(join(tmpdir(), "page-"));
  const program = spawn(process.env.PROGRAM, ["demo"], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, TMPDIR: place },
  });
  const lines = {};
  for await (const line of createInterface({ input: program.stdout })) {
    const [, name, value] = /^(Demo|Dashboard|Calendars)\s+(\S+)/.exec(line) ?? [];
    if (name) lines[name] = value;
    if (line.startsWith("Everything is thrown away")) break;
  }
  if (!lines.Demo) {
    rmSync(place, { recursive: true });
    if (attempts === 1) throw new Error("the demo does not start");
    return startDemo(attempts - 1);
  }
  program.stdout.resume();
  const stage = new URL(lines.Demo);
  const [coach, operator] = new URLSearchParams(stage.hash.slice(1)).getAll("token");
  const root = new URL("/", stage).href;
  const simulator = lines.Calendars;
  const claims = JSON.parse(Buffer.from(coach.split(".")[1], "base64url"));

  const api = async (method, path, body) => {
    const answer = await fetch(new URL(path, `${root}api/calendar-integration/`), {
      method,
      headers: { Authorization: `Bearer ${operator}`, "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  const control = async (method, path, body) => {
    const answer = await fetch(new URL(`control/${path}`, simulator), {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  return {
    root,
    simulator,
    stage: stage.href,
    coach: claims.sub,
    /** Opens the dashboard with these views, the first one shown. */
    link: (...views) =>
      `${root}dashboard#${views.map((view) => `token=${view === "coach" ? coach : operator}`).join("&")}`,
    api,
    control,
    /** Changes what is stored behind the demo's back. */
    tamper: (...statements) => {
      const [directory] = readdirSync(place);
      const program = ["-c", RUN_STATEMENTS, join(place, directory, "demo.db")];
      execFileSync("python3", program, { input: statements.join(";") });
    },
    events: async (provider, account) =>
      (await control("GET", `events?provider=${provider}&account=${account}`)).events,
    appointment: (minutes, name) => {
      const starts = new Date(Date.now() + minutes * 60_000);
      return {
        id: crypto.randomUUID(),
        coach_id: claims.sub,
        status: "confirmed",
        starts_at: starts.toISOString(),
        ends_at: new Date(starts.getTime() + 50 * 60_000).toISOString(),
        time_zone: "Europe/Berlin",
        client: { name, email: "client@example.com" },
        notes: "Bring the values sheet.",
      };
    },
    stop: () =>
      new Promise((ended) => {
        program.once("exit", () => (rmSync(place, { recursive: true }), ended()));
        program.kill("SIGTERM");
      }),
  };
}

/** Waits for a state, never for a time. */
export async function eventually(what, look) {
  const until = Date.now() + 60_000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > until) throw new Error(`never: ${what}`);
    await new Promise((resume) => setTimeout(resume, 100));
  }
}
