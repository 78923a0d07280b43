//! The client, as progenitor makes it. A warning in it is an error here.
#![deny(warnings)]

progenitor::generate_api!(
    spec = "../../../openapi/calendar-integration.json",
    interface = Builder,
);
