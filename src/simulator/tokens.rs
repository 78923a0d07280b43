//! Codes, access tokens, refresh tokens and the consents behind them.
//!
//! Tokens are random strings. Whether one is good is decided here by the clock and by what was
//! granted and revoked; what the answer to a bad one looks like is each provider's business.

use std::collections::{HashMap, HashSet, VecDeque};

use chrono::TimeDelta;

use crate::domain::{Entropy, Timestamp};

use super::account::AccountKey;
use super::random;

#[derive(Debug, Default)]
pub(super) struct Tokens {
    codes: HashMap<String, Code>,
    access: HashMap<String, AccessToken>,
    /// Access tokens in the order of expiry, so that dead ones can be dropped cheaply.
    access_order: VecDeque<(Timestamp, String)>,
    refresh: HashMap<String, RefreshToken>,
    refresh_order: HashMap<(AccountKey, String), VecDeque<String>>,
    consents: HashSet<(AccountKey, String)>,
}

/// Who granted what to which application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) account: AccountKey,
    pub(super) client_id: String,
    pub(super) scopes: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) grant: Grant,
    pub(super) redirect_uri: String,
    /// The S256 challenge, if one was sent.
    pub(super) challenge: Option<String>,
    pub(super) wants_refresh_token: bool,
    pub(super) nonce: Option<String>,
    pub(super) expires_at: Timestamp,
    pub(super) used: bool,
    /// What was sent to prove the challenge.
    pub(super) verifier: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct AccessToken {
    pub(super) grant: Grant,
    pub(super) expires_at: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct RefreshToken {
    pub(super) grant: Grant,
    pub(super) last_used: Timestamp,
}

impl Tokens {
    pub(super) fn issue_code(
        &mut self,
        code: Code,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> String {
        self.codes.retain(|_, kept| kept.expires_at > now);
        let text = random::token(entropy, "4/0A", 32);
        self.codes.insert(text.clone(), code);
        text
    }

    /// The code as it was before this use, and marks it used. Absent: unknown or expired.
    pub(super) fn redeem(&mut self, code: &str, now: Timestamp) -> Option<Code> {
        let kept = self.codes.get_mut(code)?;
        let before = kept.clone();
        kept.used = true;
        (before.expires_at > now).then_some(before)
    }

    /// Notes the verifier that came with a code.
    pub(super) fn proved(&mut self, code: &str, verifier: &str) {
        if let Some(kept) = self.codes.get_mut(code) {
            kept.verifier = Some(verifier.to_owned());
        }
    }

    /// Every code, verifier and token that is known now.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        let verifiers = self
            .codes
            .values()
            .filter_map(|code| code.verifier.as_ref());
        let tokens = self.access.keys().chain(self.refresh.keys());
        let all = self.codes.keys().chain(verifiers).chain(tokens);
        all.map(String::as_str)
    }

    pub(super) fn code(&self, code: &str) -> Option<&Code> {
        self.codes.get(code)
    }

    pub(super) fn issue_access(
        &mut self,
        grant: Grant,
        expires_at: Timestamp,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> String {
        while self.access_order.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, dead)) = self.access_order.pop_front() {
                self.access.remove(&dead);
            }
        }
        let text = random::token(entropy, "ya29.", 48);
        self.access_order.push_back((expires_at, text.clone()));
        self.access
            .insert(text.clone(), AccessToken { grant, expires_at });
        text
    }

    /// Whom an access token stands for, unless it expired or was revoked.
    pub(super) fn access(&self, token: &str, now: Timestamp) -> Option<&Grant> {
        self.access
            .get(token)
            .filter(|token| token.expires_at > now)
            .map(|token| &token.grant)
    }

    /// A new refresh token; beyond `most` live ones of this account and client the oldest dies.
    pub(super) fn issue_refresh(
        &mut self,
        grant: Grant,
        most: usize,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> String {
        let text = random::token(entropy, "1//0", 48);
        let order = self
            .refresh_order
            .entry((grant.account.clone(), grant.client_id.clone()))
            .or_default();
        order.push_back(text.clone());
        if order.len() > most
            && let Some(oldest) = order.pop_front()
        {
            self.refresh.remove(&oldest);
        }
        self.refresh.insert(
            text.clone(),
            RefreshToken {
                grant,
                last_used: now,
            },
        );
        text
    }

    pub(super) fn refresh(&self, token: &str) -> Option<&RefreshToken> {
        self.refresh.get(token)
    }

    /// Uses a refresh token of this client; absent if it is dead or has been idle for too long.
    pub(super) fn use_refresh(
        &mut self,
        token: &str,
        client_id: &str,
        idle: TimeDelta,
        now: Timestamp,
    ) -> Option<Grant> {
        let kept = self.refresh.get_mut(token)?;
        if kept.grant.client_id != client_id || kept.last_used + idle <= now {
            return None;
        }
        kept.last_used = now;
        Some(kept.grant.clone())
    }

    pub(super) fn drop_refresh(&mut self, token: &str) {
        if let Some(dead) = self.refresh.remove(token)
            && let Some(order) = self
                .refresh_order
                .get_mut(&(dead.grant.account, dead.grant.client_id))
        {
            order.retain(|kept| kept != token);
        }
    }

    /// Notes a consent; true if it is the first since the last revocation.
    pub(super) fn consent(&mut self, account: &AccountKey, client_id: &str) -> bool {
        self.consents
            .insert((account.clone(), client_id.to_owned()))
    }

    /// Ends everything an account ever granted. True if there was something to end.
    pub(super) fn revoke(&mut self, account: &AccountKey) -> bool {
        let before = self.consents.len() + self.access.len() + self.refresh.len();
        self.consents.retain(|(of, _)| of != account);
        self.codes.retain(|_, code| code.grant.account != *account);
        self.expire_access(account);
        self.refresh
            .retain(|_, token| token.grant.account != *account);
        self.refresh_order.retain(|(of, _), _| of != account);
        before != self.consents.len() + self.access.len() + self.refresh.len()
    }

    /// Ends the access tokens of an account; its refresh tokens stay good.
    pub(super) fn expire_access(&mut self, account: &AccountKey) {
        self.access
            .retain(|_, token| token.grant.account != *account);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
