//! Outlook through Microsoft Graph version 1.0.
