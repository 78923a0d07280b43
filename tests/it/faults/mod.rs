//! Every kind of trouble as a scripted, repeatable story: each ends in exactly the desired calendars.
//!
//! | fault | test |
//! |---|---|
//! | 4 | the database restarted, cut off, replaced, slow, locked, strict | [`on_postgres`], [`on_sqlite`] |
//! | 5 | no room, or only reading | [`disk_on_sqlite`], [`disk_on_postgres`], `store::error` |
//! | 11 | clocks that jump, or differ | [`clocks`], [`clocks_on_postgres`] |
//! | 13 | a node paused, or cut off | [`nodes_on_postgres`] |
//! | 16 | stored tokens that do not open | [`secrets`], `tokens_at_rest` |
//! | 17 | sockets, heads and bodies without measure | [`abuse`], `server` |
//! | 18 | too few descriptors, too little memory | [`machine`] |
//! | 19 | storms of restarts and hints | `connections::tests::storms` |
//!
//! Modules whose names say `on_postgres` or `on_sqlite` need that database: `tests/run` leaves them
//! out of the other run by name, and run all the same they fail rather than pass without having run.

mod abuse;
mod clocks;
mod clocks_on_postgres;
mod disk_on_postgres;
mod disk_on_sqlite;
mod machine;
mod nodes_on_postgres;
mod on_postgres;
mod on_sqlite;
mod platform;
mod secrets;
