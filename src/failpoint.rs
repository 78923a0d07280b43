//! Places on the way of a change where a test may end the process or make the step fail.
//!
//! Owns their names and what can happen there; `tests/it/crash` uses them. Each step has two,
//! `STEP.before` and `STEP.after`, and those that leave a trace outside the process pass
//! `side_effect.before` and `side_effect.after` as well, so that a test can name the n-th of them all.
//! `FAILPOINTS` says what happens, in the words of the `fail` crate: at `claim.after=return(kill)` the
//! process ends as by `kill -9`; at `settle.before=2*off->1*return(error)` the third settle fails.
//!
//! A failure `before` is a step that did not happen, one `after` a step whose success nobody heard of.
//! Only `cargo test` compiles any of this in: the feature comes with the dev-dependencies alone.

use std::fmt;

/// What was made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a failure that a test asked for")]
pub struct Injected;

/// A step of the daemon's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Migrate,
    /// A sign-in is remembered.
    SignInBegin,
    /// The remembered sign-in is used up.
    SignInTake,
    /// The code becomes tokens.
    Exchange,
    Connect,
    Intake,
    Erase,
    Settings,
    SyncNow,
    /// An operator has failed jobs tried again.
    Retry,
    Disconnect,
    Revoke,
    ForgetCoach,
    /// The housekeeper forgets what is erased and nowhere any more.
    ForgetErased,
    /// A connection is set aside, or taken up again.
    ConnectionStatus,
    LeaseTake,
    LeaseRenew,
    LeaseRelease,
    /// Planning is done, the limits are asked.
    Limiter,
    Claim,
    /// Any call to a provider.
    Call,
    /// The token endpoint gives a new access token.
    Refresh,
    /// The new tokens are stored.
    Tokens,
    Settle,
    /// What waited for an outage to end goes on.
    EndWaits,
    /// A node asks another one for a connection.
    LeaseWant,
    /// A node gives a connection to the one that asked.
    HandOver,
    /// A node says that it is alive.
    Census,
    /// A webhook is registered, changed or deleted.
    Webhook,
    /// An operator has deliveries to a webhook tried again.
    WebhookReplay,
    /// A node takes deliveries that are due.
    WebhookClaim,
    /// A delivery is sent.
    WebhookSend,
    /// What became of it is recorded.
    WebhookSettle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Before,
    After,
}

impl Step {
    pub const ALL: [Self; 33] = [
        Self::Migrate,
        Self::SignInBegin,
        Self::SignInTake,
        Self::Exchange,
        Self::Connect,
        Self::Intake,
        Self::Erase,
        Self::Settings,
        Self::SyncNow,
        Self::Retry,
        Self::Disconnect,
        Self::Revoke,
        Self::ForgetCoach,
        Self::ForgetErased,
        Self::ConnectionStatus,
        Self::LeaseTake,
        Self::LeaseRenew,
        Self::LeaseRelease,
        Self::Limiter,
        Self::Claim,
        Self::Call,
        Self::Refresh,
        Self::Tokens,
        Self::Settle,
        Self::EndWaits,
        Self::LeaseWant,
        Self::HandOver,
        Self::Census,
        Self::Webhook,
        Self::WebhookReplay,
        Self::WebhookClaim,
        Self::WebhookSend,
        Self::WebhookSettle,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Migrate => "migrate",
            Self::SignInBegin => "sign_in_begin",
            Self::SignInTake => "sign_in_take",
            Self::Exchange => "exchange",
            Self::Connect => "connect",
            Self::Intake => "intake",
            Self::Erase => "erase",
            Self::Settings => "settings",
            Self::SyncNow => "sync_now",
            Self::Retry => "retry",
            Self::Disconnect => "disconnect",
            Self::Revoke => "revoke",
            Self::ForgetCoach => "forget_coach",
            Self::ForgetErased => "forget_erased",
            Self::ConnectionStatus => "connection_status",
            Self::LeaseTake => "lease_take",
            Self::LeaseRenew => "lease_renew",
            Self::LeaseRelease => "lease_release",
            Self::Limiter => "limiter",
            Self::Claim => "claim",
            Self::Call => "call",
            Self::Refresh => "refresh",
            Self::Tokens => "tokens",
            Self::Settle => "settle",
            Self::EndWaits => "end_waits",
            Self::LeaseWant => "lease_want",
            Self::HandOver => "hand_over",
            Self::Census => "census",
            Self::Webhook => "webhook",
            Self::WebhookReplay => "webhook_replay",
            Self::WebhookClaim => "webhook_claim",
            Self::WebhookSend => "webhook_send",
            Self::WebhookSettle => "webhook_settle",
        }
    }

    /// Whether it leaves a trace outside the process, and only because there is work: what time alone
    /// brings would make the n-th another one in each run, and so would deliveries, which go beside the
    /// work at a pace of their own. Three steps are counted as their call.
    fn is_side_effect(self) -> bool {
        match self {
            Self::LeaseRenew | Self::Census | Self::ForgetErased => false,
            Self::Limiter => false,
            Self::Exchange | Self::Revoke | Self::Refresh => false,
            Self::WebhookClaim | Self::WebhookSend | Self::WebhookSettle => false,
            Self::Migrate
            | Self::SignInBegin
            | Self::SignInTake
            | Self::Connect
            | Self::Intake
            | Self::Erase
            | Self::Settings
            | Self::SyncNow
            | Self::Retry
            | Self::Disconnect
            | Self::ForgetCoach
            | Self::ConnectionStatus
            | Self::LeaseTake
            | Self::LeaseRelease
            | Self::Claim
            | Self::Call
            | Self::Tokens
            | Self::Settle
            | Self::EndWaits
            | Self::LeaseWant
            | Self::HandOver
            | Self::Webhook
            | Self::WebhookReplay => true,
        }
    }
}

impl Moment {
    pub const ALL: [Self; 2] = [Self::Before, Self::After];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// The name of a place, as `FAILPOINTS` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Of(Step, Moment),
    /// Passed by every step that leaves a trace.
    SideEffect(Moment),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, moment) = match self {
            Self::Of(step, moment) => (step.as_str(), moment),
            Self::SideEffect(moment) => ("side_effect", moment),
        };
        write!(f, "{name}.{}", moment.as_str())
    }
}

/// To be passed right before the step; an error means that it must not happen.
pub(crate) fn before(step: Step) -> Result<(), Injected> {
    pass(step, Moment::Before)
}

/// To be passed once the step has happened; an error means to report that it failed.
pub(crate) fn after(step: Step) -> Result<(), Injected> {
    pass(step, Moment::After)
}

fn pass(step: Step, moment: Moment) -> Result<(), Injected> {
    // A constant: nothing is left of this in a program without the feature.
    if fail::has_failpoints() {
        meet(Place::Of(step, moment))?;
        if step.is_side_effect() {
            meet(Place::SideEffect(moment))?;
        }
    }
    Ok(())
}

fn meet(place: Place) -> Result<(), Injected> {
    // Without the feature the macro is empty.
    let _ = place;
    fail::fail_point!(&place.to_string(), |what: Option<String>| {
        tracing::warn!(%place, what, "a failpoint strikes");
        match what.as_deref() {
            Some("kill") => std::process::abort(),
            Some("error") => Err(Injected),
            other => panic!("a failpoint can return kill or error, not {other:?}"),
        }
    });
    Ok(())
}

/// Takes up what `FAILPOINTS` says, until dropped. A program without failpoints does not look at it.
#[must_use = "the failpoints end with it"]
pub fn from_environment() -> Option<fail::FailScenario<'static>> {
    fail::has_failpoints().then(fail::FailScenario::setup)
}
