// Every text of the page, for translation: nothing else of the page holds words that people read.

const many = (count, one, more) => (count === 1 ? `1 ${one}` : `${count} ${more}`);

export const PROVIDERS = {
  google: { name: "Google Calendar", short: "Google" },
  outlook: { name: "Outlook Calendar", short: "Outlook" },
};

const named = (provider) => PROVIDERS[provider]?.short ?? "The calendar service";

export const T = {
  title: "Calendar Integration",
  skip: "Skip to content",
  signOut: "Sign out",
  views: { label: "View", coach: "Coach", operator: "Operator" },
  close: "Close",
  cancel: "Cancel",
  loading: "Loading…",
  more: "Show more",

  signIn: {
    title: "Sign in",
    how: "Open this page with the link from your booking platform, or paste your access token.",
    token: "Access token",
    submit: "Sign in",
    ended: "Your sign-in has ended. Please open the page from your booking platform again.",
    wrong: "This is not an access token for this page. Please copy it again, whole.",
  },

  live: {
    on: "Live",
    polling: "Live updates are not available; the page looks every few seconds.",
    lost: "The server cannot be reached. Trying again…",
  },

  calendars: {
    title: "Connected calendars",
    lead: "Each of them shows your appointments.",
    none: "No calendar is connected yet. Connect one, and your appointments appear in it.",
    connect: (provider) => `Connect ${PROVIDERS[provider].name}`,
    opening: (provider) => `Opening ${named(provider)}…`,
    notConfigured: (provider) =>
      `${PROVIDERS[provider].name} is not set up on this installation. Please ask whoever runs it.`,
  },

  callback: {
    connected: (provider) =>
      `${PROVIDERS[provider]?.name ?? "The calendar"} is connected. Your appointments are on their way.`,
    again: "Try again",
    errors: {
      access_denied: "Access was not granted, so nothing was connected. You can try again at any time.",
      missing_parameters: "The calendar service sent you back without an answer. Please try again.",
      invalid_state:
        "This sign-in was begun in another browser, or it was used before. Please start again from this page.",
      expired_state: "The sign-in took longer than ten minutes. Please start again.",
      insufficient_scope:
        "Not all permissions were granted. Please connect again and leave every box ticked.",
      exchange_failed: "The calendar service did not confirm the sign-in. Please try again.",
      calendar_access_failed:
        "You are signed in, but your calendar did not answer. Please try again in a moment.",
      provider_error:
        "The calendar service had a problem, or does not accept this application. Please try again later.",
    },
    unknown: "The calendar could not be connected. Please try again.",
  },

  card: {
    calendar: (name, zone) => (zone ? `${name} · ${zone}` : name),
    syncNow: "Sync now",
    test: "Test",
    settings: "Settings",
    disconnect: "Disconnect",
    reconnect: "Sign in again",
    retry: "Retry",
    actions: (account) => `Actions for ${account}`,
    progress: "Progress of the sync",
    lastSync: (when) => `Last change ${when}`,
    never: "Nothing carried yet",
    pending: (count) => `${many(count, "appointment", "appointments")} on the way`,
    failed: (count) => `${many(count, "appointment", "appointments")} failed`,
    moreFailed: (count) => `and ${count} more. “Sync now” tries all of them again.`,
    retried: "It is tried again.",
    testing: "Testing…",
    works: (name, ms) => `The connection works: “${name}” answered in ${ms} ms.`,
    fails: "The calendar did not answer.",
    starting: "Starting…",
    upToDate: "Everything was in step already.",
    done: "Sync done. The calendar is in step.",
    doneFailed: (count) => `Sync done. ${many(count, "appointment", "appointments")} failed.`,
    doneWaiting: (count) =>
      `Sync ended. ${many(count, "appointment is", "appointments are")} still on the way.`,
  },

  // How a connection stands, in one sentence.
  standing: {
    inStep: (when) => `In step. Last change ${when}.`,
    inStepNew: "In step. There was nothing to carry yet.",
    catchingUp: (done, total) => `Catching up: ${done} of ${total}.`,
    onTheWay: (count) => `Catching up: ${many(count, "appointment", "appointments")} on the way.`,
    off: "Sync is switched off. Nothing is carried.",
    reauth: (provider) => `${named(provider)} asks you to sign in again. Your changes wait until then.`,
    quarantined: "Set aside after repeated failures. It is tried again by itself.",
    waits: {
      limit: (provider, time) => `Waiting: ${named(provider)}’s limit, continues ${time}.`,
      outage: (provider, time) => `Waiting: ${named(provider)} has a problem, next attempt ${time}.`,
      set_up: (provider) =>
        `Waiting: ${named(provider)} does not accept this installation. Its operator must act.`,
      not_configured: (provider) => `Waiting: ${named(provider)} is switched off on this installation.`,
    },
    failed: (count) =>
      `${many(count, "appointment", "appointments")} could not be carried. The rest is in step.`,
  },

  disconnect: {
    title: "Disconnect this calendar?",
    text: (name, account) =>
      `${name} of ${account} is no longer kept in step, and our access to it is given up.`,
    stay: "Events that are in the calendar stay there. You can connect it again at any time.",
    keep: "Keep it",
    ok: "Disconnect",
    done: (name, account) => `${name} of ${account} is disconnected. Its events stay in the calendar.`,
    revoked: "Its access was also ended at the provider.",
  },

  settings: {
    title: "Settings",
    general: "General",
    privacy: "Privacy",
    templates: "Event templates",
    switches: {
      is_sync_enabled: ["Enable sync", "Off: nothing is carried. Switching it on catches up."],
      auto_create_events: ["Auto-create events", "Off: only “Sync now” adds new appointments."],
      auto_update_events: ["Auto-update events", "Off: only “Sync now” carries changes and cancellations."],
      include_client_details: [
        "Include client details",
        "The client’s name and the session notes go into the calendar.",
      ],
      add_client_as_attendee: ["Add client as attendee", "Counts only while client details are included."],
    },
    warning:
      "Consider your organisation’s privacy policy first: client details are then also written into events that are there already, and everyone who can see the calendar sees them. Switching it off takes them out of every event again.",
    attendee: {
      google: "Google sends the client no invitation.",
      outlook:
        "Outlook mails every attendee an invitation, and a message for every change, and cannot be told not to.",
    },
    calendar: "Target calendar",
    calendarHint: "Events that have not ended move into the calendar you choose.",
    primary: (name) => `${name} (primary)`,
    calendarsMissing: (why) => `The list of calendars is not available: ${why}`,
    fields: { event_title_template: "Title", event_description_template: "Description" },
    placeholders: "Insert a placeholder",
    insert: (name, field) => `Insert ${name} into the ${field.toLowerCase()}`,
    clientOnly: "Empty while client details are not included",
    save: "Save",
    saveRewriting: (count) => `Save and rewrite ${many(count, "event", "events")}`,
    rewrites: (count) =>
      `Saving rewrites ${many(count, "event that is", "events that are")} in the calendar.`,
    rewritesNone: "Saving rewrites no event that is in the calendar.",
    saved: "Settings saved.",
    conflict:
      "These settings were changed elsewhere while you were editing, so nothing was saved. Load them as they are now, and make your changes again.",
    reload: "Load the present settings",
    discardTitle: "Leave without saving?",
    discard: "You changed settings and did not save them.",
    discardOk: "Leave without saving",
    discardKeep: "Keep editing",
  },

  preview: {
    title: "Preview",
    of: (when) => `Your next appointment, ${when}`,
    example: "A made-up appointment: you have none coming up",
    inForce: "This is what your calendar shows",
    other: "Not in force",
    details_off: "Without client details",
    details_on: "With client details",
    when: "When",
    where: "Where",
    guests: "Guests",
    noGuests: "None",
    noTitle: "(no title)",
    unavailable: (why) => `No preview: ${why}`,
  },

  appointments: {
    title: "Appointments",
    from: "From",
    to: "Until",
    today: "From today",
    none: "There are no appointments in these days.",
    results: (count, hasMore) =>
      `${many(count, "appointment", "appointments")}${hasMore ? " and more" : ""} shown`,
    rest: "The search by date shows the rest.",
    elsewhere: (time, zone) => `${time} in ${zone}`,
    noCalendar: "No calendar is connected.",
    retry: "Retry",
    status: {
      pending: "not confirmed",
      confirmed: "confirmed",
      completed: "took place",
      cancelled: "cancelled",
      no_show: "client did not come",
    },
    sync: {
      synced: ["good", "in step"],
      pending: ["", "waiting"],
      processing: ["", "being carried"],
      failed: ["bad", "failed"],
      waiting: ["warn", "waiting"],
      not_wanted: ["soft", "not wanted"],
      switched_off: ["warn", "switched off"],
    },
  },

  operator: {
    health: "This node",
    connections: "Connections",
    table: "Table of connections",
    connection: "Connection",
    figures: "The last hour",
    since:
      "Of the node that answers, gathered while this page is open. Prometheus keeps longer: see /metrics.",
    asTable: "As a table",
    time: "Time",
    upTo: (figure, unit) => `up to ${figure} ${unit}`,
    show: "Show",
    find: "Find by id",
    idExample: "connection id",
    open: "Open",
    worstFirst: "What needs somebody first",
    none: "No connection stands so.",
    shown: (count, all) => `${count} of ${many(all, "connection", "connections")} with something to do`,
    columns: ["Connection", "State", "Behind", "Last progress", "Restarts", "Last error"],
    states: {
      quarantined: "quarantined",
      restarting: "restarting",
      waiting: "waiting",
      starting: "starting",
      running: "running",
      idle: "idle",
      draining: "draining",
      stopped: "stopped",
    },
    restarts: "restarts",
    worstLag: "furthest behind",
    seconds: (seconds) => `${seconds.toLocaleString([], { maximumFractionDigits: 1 })} s`,
    blocked: (time) => `Waits for a limit or an outage, until ${time}`,
    parts: {
      database: "Database",
      queue_poller: "Queue",
      supervisors: "Supervisors",
      progress: "Progress",
      node_wakeups: "Other nodes",
      provider_google: "Google",
      provider_outlook: "Outlook",
    },
    node: (id) => `Node ${id}`,
    replayAll: "Replay all failed",
    replayTitle: "Replay all failed jobs?",
    replayText: "Every job that was given up, of every connection, is tried again from its first attempt.",
    replay: "Replay its failed jobs",
    replayed: (count) => `${many(count, "job is", "jobs are")} tried again.`,
    release: "Release quarantine",
    released: "It is tried again now.",
    retry: "Retry",
    jobs: "Recent jobs",
    jobColumns: ["Operation", "Status", "Attempts", "When", "Error", "Action"],
    jobStates: {
      pending: "pending",
      processing: "processing",
      completed: "completed",
      failed: "failed",
      cancelled: "cancelled",
    },
    history: "Who asked for what",
    by: (when, role, who) => ` ${when}, ${role} ${who}`,
    actions: {
      connected: "Connected",
      disconnected: "Disconnected",
      settings_changed: "Settings changed",
      sync_started: "Sync by hand",
      jobs_retried: "Failed jobs replayed",
    },
    noActor: "none: it has nothing to do, or is set aside",
    thisNode: "this node",
    limit: (units, seconds, until) =>
      `${units} units in ${seconds} s${until ? `, blocked until ${until}` : ", free"}`,
    counts: ({ pending, processing, failed, synced }) =>
      `${pending} pending, ${processing} under way, ${failed} failed, ${synced} in the calendar`,
    facts: {
      account: "Account",
      coach: "Coach",
      status: "Status",
      actor: "Actor",
      owner: "Acting node",
      limiter: "Limiter",
      access: "Access token ends",
      restarts: "Restarts",
      progress: "Last progress",
      error: "Last error",
      lastSync: "Last change",
      counts: "Work",
    },
    connectionStates: { needs_reauth: "wait for their coach to sign in", quarantined: "set aside" },
    units: { connections: "connections", jobs: "jobs", seconds: "s", ms: "ms", perMinute: "per minute" },
    charts: {
      parked: "Connections that do not sync",
      depth: "Queue depth",
      age: "Oldest due work",
      oldest: "oldest",
      latency: "Start latency",
      mean: "mean",
      calls: "Changes sent to providers",
      ok: "ok",
      notOk: "not ok",
      waits: "Waits of whole connections",
      limit: "limit",
      outage: "outage",
    },
  },

  problems: {
    unreachable: "The server cannot be reached. Please check your connection and try again.",
    status: (status) => `The server answered with status ${status}.`,
    at: (field, detail) => `${field}: ${detail}`,
  },
};
