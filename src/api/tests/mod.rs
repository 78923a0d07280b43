//! Requests against the whole endpoint.
