// The actor tree as the API answers it.

/** Each supervisor with what its worker knows more. */
export function connectionsOf(tree) {
  const all = tree.children.find((child) => child.kind === "connections")?.children ?? [];
  return all.map((supervisor) => {
    const worker = supervisor.children?.[0] ?? {};
    return {
      ...worker,
      ...supervisor,
      lag_seconds: worker.lag_seconds ?? supervisor.lag_seconds,
      last_error: supervisor.last_error ?? worker.last_error,
    };
  });
}
