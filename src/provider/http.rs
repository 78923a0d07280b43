//! The HTTP client to providers: bounded time, bounded bodies.
