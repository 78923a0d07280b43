//! Google Calendar, API version 3.
