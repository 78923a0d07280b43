//! Every kind of trouble as a scripted, repeatable story: each ends in exactly the desired calendars.
//!
//! | fault | test |
//! |---|---|
