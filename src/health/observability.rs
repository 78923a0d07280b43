//! What a daemon is watched with: a dashboard for Grafana and alert rules for Prometheus, as files beside
//! this one.
//!
//! A story in `tests/it/watching.rs` holds each metric they name against what a running daemon tells.

/// A dashboard as Grafana imports it; the data source is chosen there.
pub const DASHBOARD: &str = include_str!("dashboard.json");

/// Alert rules as Prometheus reads them.
pub const ALERTS: &str = include_str!("alerts.yml");
